"""Programs that ask real QEMU and write down what the project keeps of its answers."""
