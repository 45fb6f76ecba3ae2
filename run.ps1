# On Windows what `run` is elsewhere: finds Deno, gets what is missing, then starts the task with no more
# permissions than its command line needs (docs/permissions.md). A GPU's driver comes with Windows.
#
#   .\run.cmd                 lists the tasks
#   .\run.cmd train --help    runs one
$ErrorActionPreference = "Stop"
$MinimumMinor = 9 # of Deno 2
$Pinned = "2.9.6"
$Root = $PSScriptRoot
$Cache = Join-Path $env:LOCALAPPDATA "lung-ddpm-webgpu"

function Stop-With([int]$Code, [string[]]$Lines) {
  [Console]::Error.WriteLine("error: " + ($Lines -join "`n  "))
  exit $Code
}

function Test-Deno([string]$Path) {
  if (-not $Path -or -not (Test-Path $Path)) { return $false }
  $first = (& $Path --version 2>$null | Select-Object -First 1)
  if ($first -notmatch "^deno (\d+)\.(\d+)\.") { return $false }
  return [int]$Matches[1] -gt 2 -or ([int]$Matches[1] -eq 2 -and [int]$Matches[2] -ge $MinimumMinor)
}

function Find-Deno {
  $onPath = Get-Command deno -ErrorAction SilentlyContinue
  $places = @(
    (Join-Path $Root "offline\deno"),
    $(if ($onPath) { $onPath.Source }),
    (Join-Path $env:USERPROFILE ".deno\bin\deno.exe"),
    (Join-Path $Cache "deno-$Pinned\deno.exe")
  )
  return $places | Where-Object { Test-Deno $_ } | Select-Object -First 1
}

# The npm package that carries the executable itself; renamed when whole.
function Get-Deno {
  if (-not (Get-Command npm -ErrorAction SilentlyContinue)) {
    Stop-With 2 "Deno 2.$MinimumMinor or newer not found, nor npm to get it with",
      "Install it (https://docs.deno.com/runtime/getting_started/installation/) and run this again."
  }
  [Console]::Error.WriteLine("Deno 2.$MinimumMinor or newer not found; getting $Pinned into $Cache")
  $work = Join-Path $Cache "getting.$PID"
  New-Item -ItemType Directory -Force $work | Out-Null
  try {
    $log = & npm install --prefix $work --no-save --ignore-scripts --no-audit --no-fund `
      --loglevel=error --fetch-retries=1 "@deno/win32-x64@$Pinned" 2>&1
    $found = Join-Path $work "node_modules\@deno\win32-x64\deno.exe"
    if (-not (Test-Deno $found)) { Stop-With 2 "Cannot get Deno ${Pinned}: npm could not install it", "$log" }
    New-Item -ItemType Directory -Force (Join-Path $Cache "deno-$Pinned") | Out-Null
    Move-Item -Force $found (Join-Path $Cache "deno-$Pinned\deno.exe")
  } finally {
    Remove-Item -Recurse -Force $work -ErrorAction SilentlyContinue
  }
  return Join-Path $Cache "deno-$Pinned\deno.exe"
}

# name@version and integrity of each package that a deno.lock names
function Get-Integrities([string]$Path) {
  $table = @{}
  $npm = (Get-Content -Raw $Path | ConvertFrom-Json).npm
  foreach ($entry in $npm.PSObject.Properties) { $table[$entry.Name] = $entry.Value.integrity }
  return $table
}

# Gets the packages of deno.lock once. From then on no task fetches anything (--cached-only).
function Install-Packages {
  $lock = Join-Path $Root "deno.lock"
  $stamp = Join-Path $Root "node_modules\.deno\installed.lock"
  $pairs = @(@($lock, $stamp), @((Join-Path $Root "deno.json"), "$stamp.json"))
  $same = $true
  foreach ($pair in $pairs) {
    if (-not (Test-Path $pair[1])) { $same = $false; continue }
    if ((Get-FileHash $pair[0]).Hash -ne (Get-FileHash $pair[1]).Hash) { $same = $false }
  }
  if ($same) { return }
  if (Test-Path $stamp) {
    $before = Get-Integrities $stamp
    $now = Get-Integrities $lock
    foreach ($name in $now.Keys) {
      if ($before.ContainsKey($name) -and $before[$name] -ne $now[$name]) {
        Stop-With 2 "deno.lock has another integrity for $name than when it was installed: one is damaged",
          "git diff deno.lock shows the change. If it is meant, remove node_modules and run this again."
      }
    }
  }
  Push-Location $Root
  try { $log = & $Deno install --quiet --frozen 2>&1; $code = $LASTEXITCODE } finally { Pop-Location }
  if ($code -ne 0) {
    Stop-With 2 "Cannot get this program's packages (once, with the network; later it works without)", "$log"
  }
  foreach ($pair in $pairs) { Copy-Item $pair[0] $pair[1] }
}

$Deno = Find-Deno
if (-not $Deno) { $Deno = Get-Deno }
$env:PATH = (Split-Path $Deno) + ";" + $env:PATH
if ([Console]::IsOutputRedirected -or [Console]::IsErrorRedirected) { $env:NO_COLOR = "1" }
Remove-Item Env:INIT_CWD -ErrorAction SilentlyContinue
# Where tuned choices are kept: the same folder as this one's.
if (-not $env:XDG_CACHE_HOME) { $env:XDG_CACHE_HOME = $env:LOCALAPPDATA }
$env:DENO_NO_UPDATE_CHECK = "1" # no question to its maker's server
if (-not $env:DENO_WEBGPU_BACKEND) { $env:DENO_WEBGPU_BACKEND = "vulkan,metal,dx12" }

# What the command line comes to (scripts/launch.ts), as a JSON list of words.
$launch = @("run", "--quiet", "--no-prompt", "--cached-only", "--no-config", "--no-lock", "--allow-read",
  (Join-Path $Root "scripts\launch.ts"), "--json", $Root, $Cache)
if ($args.Count -eq 0 -or $args[0] -in "-h", "--help", "help") {
  & $Deno @launch
  exit $LASTEXITCODE
}
$printed = & $Deno @launch @args
if ($LASTEXITCODE -ne 0) { exit $LASTEXITCODE }
$words = @($printed | ConvertFrom-Json | ForEach-Object { $_ })
if ($words[0] -eq "--help-of") { Write-Output $words[1]; exit 0 }
Install-Packages
if ($words[0] -eq "--in-root") {
  Set-Location $Root
  $words = $words[1..($words.Count - 1)]
}
& $Deno @words
exit $LASTEXITCODE
