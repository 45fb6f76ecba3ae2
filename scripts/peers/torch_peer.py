"""The benchmark's peer in diffusers + PyTorch.

Usage: torch_peer.py eager|compile. Runs on CUDA where there is one, else on all CPU cores.
"""

import sys
import time

import diffusers
import torch
from diffusers import DDPMScheduler, UNet2DModel

from serve import serve

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
state = {}


def synchronize():
    if device.type == "cuda":
        torch.cuda.synchronize()


def resident():
    """(now, peak) of this process's memory in bytes."""
    fields = dict(line.split(":", 1) for line in open("/proc/self/status") if ":" in line)
    return tuple(1024 * int(fields[name].split()[0]) for name in ("VmRSS", "VmHWM"))


def reset_peak():
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        with open("/proc/self/clear_refs", "w") as file:
            file.write("5")


def peak():
    """Bytes that parameters, moments, gradients and activations took at most."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    return resident()[1] - state["loaded"]


def setup(unet, specs, folder, **_):
    torch.manual_seed(0)
    model = UNet2DModel(**{k: v for k, v in unet.items() if not k.startswith("_")})
    flat = torch.frombuffer(bytearray(open(f"{folder}/weights.bin", "rb").read()), dtype=torch.float32)
    weights = {}
    for spec in specs:
        count = 1
        for n in spec["shape"]:
            count *= n
        weights[spec["name"]] = flat[spec["offset"] : spec["offset"] + count].reshape(spec["shape"])
    # What the program holds before the model is not the model's memory.
    state["loaded"] = resident()[0]
    model.load_state_dict(weights)
    state["model"] = model.to(device)
    state["folder"] = folder
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"{torch.get_num_threads()} threads"
    return {"version": f"PyTorch {torch.__version__}, diffusers {diffusers.__version__}, {where}"}


def prepare(what, batch, size, t, **_):
    model = state["model"]
    reset_peak()
    if what == "forward":
        raw = bytearray(open(f"{state['folder']}/sample.bin", "rb").read())
        sample = torch.frombuffer(raw, dtype=torch.float32).reshape(batch, -1, size, size).to(device)
        steps = torch.tensor(t, device=device)
        model.eval()

        def forward(sample, steps):
            return model(sample, steps).sample

        run = torch.compile(forward) if state["compile"] else forward

        def step():
            with torch.inference_mode():
                state["output"] = run(sample, steps)
    else:
        model.train()
        scheduler = DDPMScheduler(num_train_timesteps=1000)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)
        planes = [torch.rand(batch, 1, size, size) * 2 - 1 for _ in range(3)]

        def loss_of(conditions, clean, noise, steps):
            noisy = scheduler.add_noise(clean, noise, steps)
            sample = torch.cat([conditions, noisy], dim=1)
            return torch.nn.functional.mse_loss(model(sample, steps).sample, noise)

        run = torch.compile(loss_of) if state["compile"] else loss_of

        def step():
            clean, *conditions = [p.to(device) for p in planes]
            noise = torch.randn(clean.shape, device=device)
            steps = torch.randint(0, 1000, (batch,), device=device)
            loss = run(torch.cat(conditions, dim=1), clean, noise, steps)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()

    state["step"] = step
    step()
    step()  # allocations and choices of algorithms settle
    synchronize()
    return {}


def run(count, **_):
    synchronize()
    start = time.perf_counter()
    for _ in range(count):
        state["step"]()
    synchronize()
    return {"milliseconds": 1000 * (time.perf_counter() - start) / count, "peakBytes": peak()}


def output(**_):
    data = state["output"].detach().float().cpu().contiguous().numpy().tobytes()
    with open(f"{state['folder']}/output.bin", "wb") as file:
        file.write(data)
    return {}


state["compile"] = sys.argv[1:] == ["compile"]
serve({"setup": setup, "prepare": prepare, "run": run, "output": output})
