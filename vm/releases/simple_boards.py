"""What each release of QEMU has different in simple boards from the one after it: attributes of their rows, by name."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_WITHOUT_CPU = (
    "ast1030-evb", "ast2500-evb", "ast2600-evb", "bletchley-bmc", "fby35-bmc", "fp5280g2-bmc", "fuji-bmc", "g220a-bmc",
    "highbank", "midway", "palmetto-bmc", "qcom-dc-scm-v1-bmc", "qcom-firework-bmc", "quanta-q71l-bmc", "rainier-bmc",
    "romulus-bmc", "sonorapass-bmc", "supermicrox11-bmc", "witherspoon-bmc",
)  # fmt: skip
"""Boards that did not tell their CPU model."""

CHANGES: dict[str, dict[str, dict[str, Any]]] = {
    "10.0": {
        "B160L": {"ram_id": "ram", "cpu": ""},
        "C3700": {"ram_id": "ram", "cpu": "hppa64-cpu"},
        "imx8mp-evk": {"ram_size": 128 << 20},
        "pegasos2": {"ram_id": "pegasos2.ram"},
        "powernv10": {"alias": "powernv"},
        "powernv10-rainier": {"alias": "powernv"},
        "shakti_c": {"deprecated": None},
        "spike": {"cpu": "rv32", "cpu_64": "rv64", "default_of": ("riscv32", "riscv64")},
    },
    "7.2": {
        **{name: {"cpu": None, "cpu_64": None} for name in _WITHOUT_CPU},
        "g3beige": {"description": "Heathrow based PowerMAC"},
        "leon3_generic": {"max_cpus": 1},
        "mac99": {"description": "Mac99 based PowerMAC"},
        "pegasos2": {"cpu": "7400_v2.9", "cpu_64": "7400_v2.9"},
        "powernv9": {"alias": "powernv", "cpu": "power9_v2.0", "cpu_64": "power9_v2.0"},
        "powernv10": {"alias": None},
        "sbsa-ref": {"cpu": "cortex-a57", "cpu_64": "cortex-a57"},
        "xilinx-zynq-a9": {"description": "Xilinx Zynq Platform Baseboard for Cortex-A9", "max_cpus": 1},
    },
    "5.2": {
        "ast2600-evb": {"description": "Aspeed AST2600 EVB (Cortex A7)"},
        "canon-a1100": {"description": "Canon PowerShot A1100 IS"},
        "fuloong2e": {"alias": "fulong2e"},
        "hppa": {"description": "HPPA generic machine", "max_cpus": 8},
        "mcimx6ul-evk": {"description": "Freescale i.MX6UL Evaluation Kit (Cortex A7)"},
        "mcimx7d-sabre": {"description": "Freescale i.MX7 DUAL SABRE (Cortex A7)"},
        "microchip-icicle-kit": {"ram_id": ""},
        "npcm750-evb": {"description": "Nuvoton NPCM750 Evaluation Board (Cortex A9)"},
        "opentitan": {"ram_id": ""},
        "orangepi-pc": {"description": "Orange Pi PC"},
        "powernv10": {"cpu": "power10_v1.0", "cpu_64": "power10_v1.0"},
        "quanta-gsj": {"description": "Quanta GSJ (Cortex A9)"},
        "raspi2b": {"alias": "raspi2"},
        "raspi3b": {"alias": "raspi3"},
        "ref405ep": {"ram_id": "ef405ep.ram"},
        "sabrelite": {"description": "Freescale i.MX6 Quad SABRE Lite Board (Cortex A9)"},
        "sifive_e": {"ram_id": ""},
        "sifive_u": {"ram_id": ""},
        "spike": {"ram_id": ""},
        "tacoma-bmc": {"description": "OpenPOWER Tacoma BMC (Cortex A7)"},
        "virt": {"max_cpus": 8, "ram_id": ""},
        "xlnx-versal-virt": {"max_cpus": 2},
    },
}
