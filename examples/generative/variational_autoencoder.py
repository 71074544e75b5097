"""A variational autoencoder: a code with a distribution, drawn so that gradients pass (Kingma and Welling 2014)."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F


class VAE(nn.Module):
    def __init__(self, inputs=36, hidden=32, code=2):
        super().__init__()
        self.hidden = nn.Linear(inputs, hidden)
        self.mean, self.logvar = nn.Linear(hidden, code), nn.Linear(hidden, code)
        self.decoder = nn.Sequential(nn.Linear(code, hidden), nn.ReLU(), nn.Linear(hidden, inputs))

    def forward(self, x):
        h = F.relu(self.hidden(x))
        mean, logvar = self.mean(h), self.logvar(h)
        code = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
        return self.decoder(code), mean, logvar


torch.manual_seed(20)
# a bright bar in a 6 x 6 image, somewhere
rows = F.one_hot(torch.randint(0, 6, (256,)), 6).float()
images = (rows.unsqueeze(2).expand(-1, -1, 6) * 0.9 + 0.05).flatten(1)
model = VAE()
optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
for step in range(1, 81):
    logits, mean, logvar = model(images)
    rebuilt = F.binary_cross_entropy_with_logits(logits, images, reduction="sum") / len(images)
    divergence = -0.5 * (1 + logvar - mean**2 - logvar.exp()).sum() / len(images)
    loss = rebuilt + divergence
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if step % 20 == 0:
        print(f"step {step}  rebuilding {rebuilt.item():.3f}  divergence {divergence.item():.4f}")
with torch.no_grad():
    drawn = model.decoder(torch.randn(4, 2)).sigmoid().view(4, 6, 6)
print("brightest row of four that were drawn:", drawn.mean(dim=2).argmax(dim=1).tolist())
