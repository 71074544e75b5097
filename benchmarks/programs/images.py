"""Workloads on images: convolutions, normalisation, generative models."""

from .registry import training_step, workload


@workload("MNIST CNN", target=2, quick={"batch": 4})
def cnn_mnist(torch, batch=64):
    """Two convolutions with pooling and dropout, two linear layers; SGD with momentum."""
    nn, F = torch.nn, torch.nn.functional
    torch.manual_seed(0)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv1, self.conv2 = nn.Conv2d(1, 10, 5), nn.Conv2d(10, 20, 5)
            self.drop = nn.Dropout2d(0.5)
            self.fc1, self.fc2 = nn.Linear(320, 50), nn.Linear(50, 10)

        def forward(self, x):
            x = F.relu(F.max_pool2d(self.conv1(x), 2))  # N, 10, 12, 12
            x = F.relu(F.max_pool2d(self.drop(self.conv2(x)), 2))  # N, 20, 4, 4
            x = F.dropout(F.relu(self.fc1(x.flatten(1))), 0.5, training=self.training)
            return F.log_softmax(self.fc2(x), dim=1)

    model = Net()
    x, y = torch.rand(batch, 1, 28, 28), torch.randint(0, 10, (batch,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5)
    return training_step(optimizer, lambda: F.nll_loss(model(x), y))


@workload("small ResNet on CIFAR", target=1.5, quick={"batch": 2, "width": 4, "size": 8})
def resnet_small(torch, batch=16, width=16, size=32):
    """ResNet-8: three stages of one block; batch normalisation, SGD with momentum and weight decay."""
    nn, F = torch.nn, torch.nn.functional
    torch.manual_seed(0)

    class Block(nn.Module):
        def __init__(self, c_in, c_out, stride):
            super().__init__()
            self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False)
            self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
            self.norm1, self.norm2 = nn.BatchNorm2d(c_out), nn.BatchNorm2d(c_out)
            self.shortcut = nn.Identity()
            if stride != 1:
                self.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

        def forward(self, x):
            y = self.norm2(self.conv2(F.relu(self.norm1(self.conv1(x)))))
            return F.relu(y + self.shortcut(x))

    model = nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(),
        Block(width, width, 1), Block(width, 2 * width, 2), Block(2 * width, 4 * width, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4 * width, 10),
    )  # fmt: skip
    x, y = torch.randn(batch, 3, size, size), torch.randint(0, 10, (batch,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)
    return training_step(optimizer, lambda: F.cross_entropy(model(x), y))


@workload("VAE", target=1.5, quick={"batch": 4, "hidden": 16})
def vae(torch, batch=64, hidden=400, latent=20):
    """784-400-20 and back, sampled in the middle; Adam."""
    nn, F = torch.nn, torch.nn.functional
    torch.manual_seed(0)

    class VAE(nn.Module):
        def __init__(self):
            super().__init__()
            self.encode = nn.Linear(784, hidden)
            self.mean, self.logvar = nn.Linear(hidden, latent), nn.Linear(hidden, latent)
            self.decode = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, 784), nn.Sigmoid())

        def forward(self, x):
            h = F.relu(self.encode(x))
            mean, logvar = self.mean(h), self.logvar(h)
            std = torch.exp(0.5 * logvar)
            return self.decode(mean + torch.randn_like(std) * std), mean, logvar

    model, x = VAE(), torch.rand(batch, 784)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)

    def loss_now():
        image, mean, logvar = model(x)
        error = F.binary_cross_entropy(image, x, reduction="sum")
        return error - 0.5 * torch.sum(1 + logvar - mean.pow(2) - logvar.exp())

    return training_step(optimizer, loss_now)


@workload("DCGAN step", target=1.6, quick={"batch": 2, "width": 2}, tolerance=1e-3,
          why="two networks that train against each other through batch normalisation")  # fmt: skip
def dcgan(torch, batch=16, width=16, latent=32):
    """One update of the discriminator, on real and made images, and one of the generator; Adam on both."""
    nn = torch.nn
    torch.manual_seed(0)

    def up(c_in, c_out, stride, padding):
        return nn.ConvTranspose2d(c_in, c_out, 4, stride, padding, bias=False), nn.BatchNorm2d(c_out), nn.ReLU(True)

    def down(c_in, c_out):
        return nn.Conv2d(c_in, c_out, 4, 2, 1, bias=False), nn.BatchNorm2d(c_out), nn.LeakyReLU(0.2, inplace=True)

    generator = nn.Sequential(
        *up(latent, 4 * width, 1, 0), *up(4 * width, 2 * width, 2, 1), *up(2 * width, width, 2, 1),
        nn.ConvTranspose2d(width, 3, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip
    critic = nn.Sequential(
        nn.Conv2d(3, width, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True), *down(width, 2 * width),
        *down(2 * width, 4 * width), nn.Conv2d(4 * width, 1, 4, 1, 0, bias=False), nn.Sigmoid(), nn.Flatten(0),
    )  # fmt: skip
    real, fake = torch.ones(batch), torch.zeros(batch)
    images, criterion = torch.rand(batch, 3, 32, 32) * 2 - 1, nn.BCELoss()
    critic_adam = torch.optim.Adam(critic.parameters(), lr=2e-4, betas=(0.5, 0.999))
    generator_adam = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))

    def step():
        critic_adam.zero_grad()
        on_real = criterion(critic(images), real)
        on_real.backward()
        made = generator(torch.randn(batch, latent, 1, 1))
        on_made = criterion(critic(made.detach()), fake)
        on_made.backward()
        critic_adam.step()
        generator_adam.zero_grad()
        fooled = criterion(critic(made), real)
        fooled.backward()
        generator_adam.step()
        return (on_real + on_made).item() + fooled.item()

    return step
