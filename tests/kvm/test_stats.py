"""What the kernel counts of a virtual machine, while guests run in it."""

from __future__ import annotations

import os
import time

from ramslot.vm.accel.kvm_stats import Statistic, vcpu_kinds, vcpu_statistics, vm_statistics

from .test_guest import MIB, in_kvm, machine, run, running


def values(statistics: list[Statistic]) -> dict[str, int]:
    return {each.name: each.values[0] for each in statistics}


def descriptors() -> list[str]:
    return sorted(os.listdir("/proc/self/fd"))


@in_kvm
def test_a_guest_is_counted_and_nothing_stays_open() -> None:
    before = descriptors()
    with machine(("kvm", {}), "none", 16 * MIB) as vm:
        opened = descriptors()
        assert not vcpu_statistics(vm.accelerator)
        kinds = [each.name for each in vcpu_kinds(vm.accelerator)]
        assert "exits" in kinds
        assert "pages_4k" in values(vm_statistics(vm.accelerator))
        assert descriptors() == opened
        run(vm, 0, MIB, "write", 4096)
        opened = descriptors()
        counted = values(vcpu_statistics(vm.accelerator))
        assert list(counted) == kinds == [each.name for each in vcpu_kinds(vm.accelerator)]
        assert counted["exits"]
        run(vm, 0, MIB, "write", 4096)
        assert values(vcpu_statistics(vm.accelerator))["exits"] > counted["exits"]
        assert values(vm_statistics(vm.accelerator))
        assert descriptors() == opened
    assert descriptors() == before


@in_kvm
def test_a_cpu_is_asked_while_it_runs() -> None:
    with machine(("kvm", {}), "none", 16 * MIB) as vm, running(vm, 0, 16 * MIB, "write", 8, passes=0) as job:
        found = [values(vcpu_statistics(vm.accelerator))["exits"]]
        deadline = time.monotonic() + 10
        while found[-1] < found[0] + 3 and time.monotonic() < deadline:
            found.append(values(vcpu_statistics(vm.accelerator))["exits"])
        assert job.status == "running"
        assert found == sorted(found)
        assert found[-1] >= found[0] + 3


def test_without_kvm_nothing_is_counted() -> None:
    with machine(("sim", {}), "none", 16 * MIB) as vm:
        run(vm, 0, MIB, "write", 4096)
        assert not [*vm_statistics(vm.accelerator), *vcpu_statistics(vm.accelerator), *vcpu_kinds(vm.accelerator)]
