"""Mixed precision: autocast computes the products in bfloat16, a GradScaler keeps small gradients from vanishing."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F

torch.manual_seed(37)
model = nn.Sequential(nn.Linear(10, 64), nn.GELU(), nn.LayerNorm(64), nn.Linear(64, 1))
optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
scaler = torch.amp.GradScaler("cpu", init_scale=1024.0, growth_interval=10)
x = torch.randn(256, 10)
y = torch.sin(x.sum(dim=1, keepdim=True))
for step in range(1, 31):
    optimizer.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(x)
        loss = F.mse_loss(out, y)
    scaler.scale(loss).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    if step % 10 == 0:
        print(f"step {step}  loss {loss.item():.2f}  scale {scaler.get_scale():.0f}")
print("results:", out.dtype, " loss:", loss.dtype, " parameters:", model[0].weight.dtype)
