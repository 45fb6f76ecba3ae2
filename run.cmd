@echo off
rem Starts run.ps1, which does on Windows what `run` does elsewhere (docs/machines.md).
powershell -NoProfile -ExecutionPolicy Bypass -File "%~dp0run.ps1" %*
exit /b %ERRORLEVEL%
