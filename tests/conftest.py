"""One thread for each test: on few cores torch's own threads wait for each other more than they work."""

import torch

torch.set_num_threads(1)
