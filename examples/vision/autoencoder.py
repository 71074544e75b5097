"""A convolutional autoencoder takes the noise out of pictures of stripes."""

import tenfold as torch
from tenfold import nn
from tenfold.nn import functional as F

torch.manual_seed(7)
encoder = nn.Sequential(
    nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.ELU(), nn.Conv2d(8, 4, 3, stride=2, padding=1), nn.ELU()
)
decoder = nn.Sequential(
    nn.ConvTranspose2d(4, 8, 4, stride=2, padding=1), nn.ELU(), nn.ConvTranspose2d(8, 1, 4, stride=2, padding=1)
)
model = nn.Sequential(encoder, decoder)

angle = torch.rand(128, 1, 1, 1) * 3.14
place = torch.arange(16.0)
clean = torch.cos(torch.cos(angle) * place.view(1, 1, 16, 1) + torch.sin(angle) * place)  # (128, 1, 16, 16)
optimizer = torch.optim.RMSprop(model.parameters(), lr=0.003)
print("code:", tuple(encoder(clean).shape), " picture:", tuple(clean.shape))
for step in range(40):
    noisy = clean + 0.5 * torch.randn_like(clean)
    optimizer.zero_grad()
    loss = F.mse_loss(model(noisy), clean)
    loss.backward()
    optimizer.step()
    if step % 10 == 9:
        print(f"step {step}  error {loss.item():.4f}  (of the noise: {F.mse_loss(noisy, clean).item():.4f})")
