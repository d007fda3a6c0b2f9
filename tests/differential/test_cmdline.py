"""Command lines, right and wrong, through real QEMU 7.2 and through `parse`: same messages, same exit status."""

import shlex
import shutil
import subprocess

import pytest

from ramslot.monitor.command_line.options import parse
from ramslot.monitor.command_line.settings import CommandLineError

PROGRAM = "qemu-system-x86_64"

pytestmark = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} is not installed")

BASE = ["-M", "none", "-display", "none", "-nodefaults", "-S"]
QUIT = '{"execute":"qmp_capabilities"}{"execute":"quit"}'

WRONG = """
-foo
--foo
-
--
---m 1G
-m=1G
-no-user-config=1
-nouserconfig
-m
--m
-M
-machine
-object
-accel
-smp
-name
-uuid
-cpu
-display
-bios
-pidfile
-mem-path
-qmp
-chardev
-mon
-m 1X -foo
-m 1X -smp
-version -foo
-help -foo
disk.img -foo
disk.img -m 1X
-m 1X
--m 1X
-m 1Y,slots=1
-m 16E
-m 16384P
-m 18446744073709551616
-m 18446744073709551616B
-m 18446744073709551616k
-m 18446744073709551616.0
-m 18446744073709551615
-m 17592186044416
-m 1.5
-m 0x1.8M
-m -1
-m "12 "
-m 1e3
-m 1e3k
-m 1.e1M
-m .5G
-m 0.1B
-m 1kB
-m 1KiB
-m 0x1Gx
-m nan
-m inf
-m 0b1
-m 0x
-m 0xG
-m ,
-m help
-m ?
-m help=1
-m foo=1
-m =1
-m 1G=2
-m 1G,=3
-m 1G,,x
-m 1G,2G
-m 1G,a,,b=c
-m 1G,foo=1
-m 1G,foo=1,help
-m 1G,?=1
-m 1G,size
-m 1G,slots
-m 1G,noslots
-m noslots
-m size
-m id=a,size=1G
-m 1G,id=1a
-m 1X,id=a
-m id=a,foo=1
-m size=1G,size=2X
-m size=1X,size=1G
-m '',maxmem=1M
-m size=,maxmem=1M
-m 1G,maxmem=
-m 1G,maxmem=1X
-m 1G,maxmem=16E
-m 1G,maxmem=-1
-m 1G,maxmem=1.5
-m 1G,maxmem=512M
-m 1G,maxmem=512M,slots=1
-m 1G,maxmem=2048
-m 1G,maxmem=0
-m 1000001B,maxmem=1000002B
-m 8191B,maxmem=8192B,slots=1
-m 8191B,maxmem=8190B,slots=1
-m 1M,maxmem=1M,slots=1
-m 0,slots=1
-m slots=1
-m 1M,slots=1
-m 1G,slots=-1
-m 1G,slots=x
-m 1G,slots=1k
-m 1G,slots=1.5
-m 1G,slots=
-m 1G,slots=08
-m 1G,slots=0x
-m 1G,slots=0x10
-m 1G,slots=010
-m 1G,slots=18446744073709551615
-m 1G,slots=18446744073709551616
-m 1G,slots=-18446744073709551616,maxmem=2G
-m 1G,slots=x,foo=1
-m 1G,foo=1,size=1X
-m 1G,slots=1,,2
-m 1G,slots=2 -m maxmem=512M
-m 1M,slots=1 -m 1X
-m 0x10k,maxmem=1
-M memory.size=1G,memory.max-size=512M
-M memory.size=1X
-M memory.size=
-M memory.size=16E
-M memory.size=0x10k,memory.max-size=1
-M memory.slots=x
-M memory.slots=1
-M memory.slots=-1
-M memory.slots=18446744073709551616
-M memory.slots=x,memory.max-size=x
-M memory.foo=1
-M memory.foo=1,memory.size=x
-M memory.foo=1,memory.bar=2
-M memory.size.a=1
-M memory.max_size=1X
-M memory=1G -m 1G
-m 1G -M memory=1G
-M memory.size=1G,memory=2
-M memory.size=1G -M memory=2
-M memory.size=1G -m 2G,maxmem=1536M
-m 2G -M memory.size=1G,memory.max-size=1536M
-M ,
-M none,,x
-M none,foo
-M none,none
-M none,accel
-M none,a.b
-M none,a.b.
-M none,0
-M none,.
-M none,=
-M x,y -m 1X
-m 1X -M x,y
-M .a=1
-M a..b=1
-M a.=1
-M 1=2
-M =2
-M 'a b=1'
-M _a=1
-M -a=1
-M __=1
-M __a=1
-M a@=1
-M a/b=1
-M é=1
-M 0.a=1
-M a.1b=1
-M a.-b=1
-M a.__b=1
-M a=1,a.b=2
-M a.b=2,a=1
-M a=1 -M a.b=2
-M a.b=1 -M a=2
-M a.0=1 -M a.1=2
-M a.0=2,a.b=1
-M a.0=2,a.2=1
-M a.1=1,a.01=2
-M a.99999999999=1
-M a.0=1,a.0.b=2
-M a.b.c=1,a.b=2
-M type.a=1
-mem-path /tmp -M memory-backend=zz -m 1M,slots=1
-mem-path '' -M memory_backend=b
-mem-path a -M memory-backend=b -smp x
-smp x
-smp ,
-smp 1,1
-smp 1,foo=1
-smp foo.bar=1
-smp 1,id=a
-smp 1,sockets=x
-smp 1,maxcpus=1k
-smp 1.5
-smp 0x
-smp 08
-smp cpus=
-smp cpus=9223372036854775808
-smp cpus=-9223372036854775809
-smp 18446744073709551616
-smp cpus.a=1
-smp cpus.0=1
-smp threads=x,cores=x
-smp maxcpus=x,threads=x
-smp cpus=x,foo=1
-smp foo=1,bar=1
-smp 1 -smp x
-smp x -m 1X
-smp x -m 1M,slots=1
-smp x,,
-M smp=2
-M smp=2 -smp 1
-M foo=1,smp.cpus=x
-M memory.size=x,smp.cpus=x
-M foo=1,memory.slots=1
-accel xxx
-accel ,
-accel tcg-accel
-accel accel=tcg,accel=xx
-accel tcg,foo=1
-accel tcg,tcg
-accel tcg,noone-insn
-accel tcg,help
-accel tcg,?
-accel xx,foo=1 -accel tcg,bar=1
-accel xx -m 1X
-accel xx -m 1M,slots=1
-accel xx -smp x
-accel xx -accel yy
-accel tcg -M accel=kvm
-M none,accel=tcg -accel kvm
-enable-kvm -accel tcg
-accel tcg -M accel=kvm -m 1M,slots=1
-M accel=xx
-M accel=
-M accel=xx:yy
-M accel=tcg -M accel=xx
-M accel=xx,memory.slots=1
-name foo,bar
-name foo,bar=1
-name foo,id=1
-name id
-name a,noid
-name guest=foo,debug-threads=xx
-name foo,debug-threads=xx -m 1X
-uuid ''
-uuid xx
-uuid 12345678-1234-1234-1234-123456789ab
-uuid 12345678-1234-1234-1234-123456789abcd
-uuid 12345678123412341234123456789abc
-uuid {12345678-1234-1234-1234-123456789abc}
-uuid 12345678-1234-1234-1234-12345678_abc
-uuid xx -m 1X
-cpu ''
-cpu '' -accel xx
-cpu '' -m 1X
-display foo
-display ''
-display foo=1
-display none,foo=1
-display none,x
-display none,type=foo
-display foo -m 1X
-display help,
-display none,help
-object ''
-object ,id=a
-object xxx
-object xxx,id=1a
-object id=a
-object {}
-object '[]'
-object ' {"a":1}'
-object '{"a":}'
-object '{"a":%d}'
-object '{'
-object '{]'
-object '{"a'
-object '{"a":1'
-object '{"a":1}{'
-object '{"a":1} "'
-object '{"help":true}'
-object '{"a":1,"a":2}'
-object '{"qom-type":"memory-backend-ram","id":"a","size":1048576}x'
-object '{"qom-type":"memory-backend-ram","id":"a","size":"1M"}'
-object '{"qom-type":"memory-backend-ram","id":"a","size":1048576,"foo":1}'
-object '{"qom-type":"memory-backend-ram","id":"a"}'
-object memory-backend-ram
-object memory-backend-ram,,id=a
-object memory-backend-ram,id=a
-object memory-backend-ram,size=1M
-object memory-backend-ram,id=1a,size=1M
-object memory-backend-ram,id=,size=1M
-object memory-backend-ram,id=1a,help
-object memory-backend-ram,id=a,size=1X
-object memory-backend-ram,id=a,size=
-object memory-backend-ram,id=a,size=1M,,
-object memory-backend-ram,id=a,size=1M,=
-object memory-backend-ram,id=a,size=1M,foo=1
-object memory-backend-ram,id=a,size=1M,no
-object memory-backend-ram,id=a,size=1M,notify
-object memory-backend-ram,id=a,size=1M,a.b=1
-object memory-backend-ram,id=a,size=1M,share=on,share.b=1
-object memory-backend-ram,id=a,size=1M,share=yep
-object memory-backend-ram,id=a,size=1M,host-nodes.0=0
-object memory-backend-ram,id=a,size=1M,host-nodes=5-0,policy=bind
-object memory-backend-ram,id=a,size=1M -object memory-backend-ram,id=a,size=1M
-object memory-backend-ram,id=a,size=1M -m 1X
-qmp none
-qmp-pretty none
-qmp ''
-qmp foo
-qmp foo:bar
-qmp unix
-qmp tcp
-qmp mon
-qmp mon:
-qmp mon:foo
-qmp mon:mon:null
-qmp mon:chardev:foo
-qmp tcp:
-qmp tcp::
-qmp tcp:a
-qmp tcp:127.0.0.1:
-qmp tcp::,server=on
-qmp tcp:127.0.0.1:0,,server=on
-qmp tcp:a123456789012345678901234567890123456789012345678901234567890123456789:1
-qmp tcp:,mon:chardev:,mon:foo
-qmp null,
-qmp stdio,signal=off
-qmp null,server=on
-qmp socket,path=x
-qmp help
-qmp unix:a,foo
-qmp unix:a,nofoo
-qmp unix:a,help
-qmp unix:a,server=xx
-qmp unix:a,server=ON
-qmp unix:a,server=1
-qmp unix:a,server=
-qmp unix:a,server=on,wait=off,server=xx
-qmp unix:a,server=on,wait=off,=x
-qmp unix:=x
-qmp none -m 1X
-m 1X -qmp none
-qmp tcp: -m 1X
-qmp none -qmp null
-qmp chardev:
-qmp chardev:foo
-qmp chardev:zz -m 1X
-monitor foo
-monitor ''
-monitor tcp:
-monitor none -monitor foo
-monitor chardev:zz
-qmp stdio -qmp stdio
-qmp stdio -monitor stdio
-daemonize -monitor stdio
-daemonize -chardev stdio,id=a
-daemonize -qmp stdio -smp x
-chardev null,id=x -qmp chardev:x -qmp chardev:x
-chardev null,id=compat_monitor0 -qmp null
-qmp null -chardev null,id=compat_monitor0
-monitor none -qmp null -chardev null,id=compat_monitor0
-chardev null,id=x -qmp chardev:x -qmp null -chardev null,id=compat_monitor1
-qmp null -mon compat_monitor0
-qmp null -mon id=compat_monitor0,chardev=z
-qmp null -mon id=compat_monitor1,chardev=z
-chardev ''
-chardev foo
-chardev null
-chardev socket,server,nowait
-chardev '{"id":"a"}'
-chardev foo,id=a
-chardev id=a
-chardev id=a,path=x
-chardev id
-chardev id,null
-chardev null,id -chardev null,id
-chardev null,id=1
-chardev null,id=
-chardev null,id=1,foo=1
-chardev null,id=1a -chardev null,foo=1
-chardev null,id=a -chardev null,id=a
-chardev null,id=a,foo=1
-chardev null,id=a,foo
-chardev null,id=a,mux=xx
-chardev null,mux=xx
-chardev null,id=a,help=1
-chardev stdio,id=a,signal=xx
-chardev stdio,id=a -chardev stdio,id=b
-chardev socket,id=a,path=z,server=xx
-chardev socket,id=a,path=z,reconnect=x
-chardev socket,id=a,path=z,width=x
-chardev null -m 1X
-chardev null,id=1 -m 1X
-chardev null -smp x
-chardev foo -chardev null,id=b
-chardev null -mem-path a -M memory-backend=b
-mon ''
-mon foo
-mon help
-mon chardev=
-mon mode=control
-mon mode=foo
-mon zz,mode=foo
-mon zz,pretty=on
-mon a,foo=1 -m 1X
-mon a,mode=x -m 1X
-mon a,id=1
-mon foo,id=x -mon foo,id=x
-mon zz -mon mode=x
-chardev null,id=a -mon a,mode=foo,pretty=on
-chardev null,id=a -mon a,mode=control,pretty=xx
-chardev null,id=a -mon a,pretty=on
-chardev null,id=a -mon a,control
-chardev null,id=a -mon a -mon a
-chardev null,id=a -mon a -mon a,pretty=on
-chardev null,id=a -mon a,mode=
-overcommit foo=1
-overcommit mem-lock=maybe
-overcommit mem-lock=on,foo=2
-overcommit =
-overcommit id=1,mem-lock=off
-overcommit id=a -overcommit id=a
-rtc bogus=1
-rtc base=foo
-rtc clock=foo
-rtc driftfix=foo
-rtc localtime
-rtc id=a
-boot bogus=1
-boot order=xz
-boot order=cc
-boot menu=maybe
-boot reboot-timeout=x
-boot once=zz
-boot bogus=1 -machine foo=1
-msg bogus=on
-sandbox bogus=1
-sandbox foo
-sandbox on,spawn=foo
-smbios bogus=x
-global foo
-global =a
-global a=b
-global driver=a
-drive if=bogus
-blockdev driver=null-co
-blockdev node-name=a
-blockdev null-co,node-name=a -blockdev null-co,node-name=a
-audiodev bogus,id=a
-audiodev none
-fw_cfg bogus=1
-vnc unix:/tmp/v.sock,bogus=1
-fsdev bogus=1
-virtfs bogus=1
-trace bogus=1
-watchdog i6300esb
-watchdog-action bogus
-action panic=bogus
-action bogus=1
-icount id=a
-run-with bogus=1
-initrd /nosuch -append foo
-append foo
-append x -machine foo=1
-machine initrd=y
-accel tcg,kernel-irqchip=on
-accel tcg,bogus=1
-machine boot=c
-realtime mlock=off
-chardev bogus,id=p
-sandbox on,spawn=foo -rtc base=foo
-action panic=x -sandbox on,spawn=foo
-boot order=zz -m foo
-serial stdio -chardev foo,id=a
-drive if=foo -chardev foo,id=a
-drive if=foo -machine foo=x
-drive if=foo -blockdev driver=null-co
-drive file=null-co://,format=raw,if=none,id=a -drive file=null-co://,format=raw,if=none,id=a
-pflash /nosuch
-drive if=pflash,format=raw
-drive if=pflash,format=raw,unit=x,file=/dev/null
-drive if=pflash,format=raw,index=1,unit=1,file=/dev/null
-object iothread
-object iothread,id=i,bogus=1
-object rng-builtin,id=i,bogus=1
-object iothread,id=i -object iothread,id=i
-object secret,id=s,data=x -object memory-backend-ram,id=s,size=1M
-object '{"qom-type":"iothread","id":"i","bogus":1}'
"""

RIGHT = """
-m 1
-m 1b
-m 1.5G
-m 0x10
-m 0x10k
-m 0x10B
-m 0x1E
-m 0x10G,maxmem=0x20G
-m 010
-m " 12"
-m +12
-m 1.
-m 1.M
-m 1.0
-m 1.0B
-m ''
-m 0
-m 1.0000000000000001G
-m 0,maxmem=8190B,slots=1
-m slots=1,maxmem=1G
-m 1M,maxmem=1M
-m 1G,maxmem=2G,slots=0
-m 1G,slots=+1,maxmem=2G
-m 1G,slots=-1,maxmem=2G
-m 1G -m 0,maxmem=1M
-M memory.size=010
-M memory.slots=0x10,memory.max-size=1G
-M none,
-M ''
-M type=pc,type=none
-M mem_merge=on
-M mem-merge=on,mem-merge=off
-smp ''
-smp 1
-smp 0x1
-smp +1
-smp ' 1'
-accel tcg
-accel tcg,
-accel accel=tcg
-accel tcg,id=a
-accel xxx -accel tcg
-accel tcg -accel xxx
-M accel=xx:tcg
-M accel=tcg:xx
-M accel=:tcg
-M accel=xx -M accel=tcg
-enable-kvm -M accel=tcg
-name ''
-name foo,,bar
-name foo -name guest=bar
-name foo,guest
-name guest=foo,process=x,debug-threads=on
-name foo,nodebug-threads
-uuid 12345678-1234-1234-1234-123456789ABC
-display none
-display none,
-display type=none
-nodefaults -no-user-config -S -S
-bios xx
-overcommit mem-lock
-overcommit mem-lock=off,cpu-pm=off
-overcommit nomem-lock
-overcommit mem-lock=on -overcommit mem-lock=off
-overcommit ''
-mem-path /nonexist
-mem-prealloc
-object memory-backend-ram,id=a,size=1M
-object memory-backend-ram,id=a,size=1M,
-object memory-backend-ram,id=a,id=b,size=1M
-object memory-backend-ram,id=a,size=1M,id=1
-object memory-backend-ram,id=a,size=0x100k
-object memory-backend-ram,id=a,size=1M,share
-object memory-backend-ram,id=a,size=1M,noprealloc
-object memory-backend-ram,id=a,size=1M,share=yes
-object qom-type=memory-backend-ram,id=a,size=1M
-object '{"qom-type":"memory-backend-ram","id":"a","size":1048576} '
-object "{'qom-type':'memory-backend-ram','id':'a','size':1048576}"
-monitor none
-monitor null
-qmp null -qmp-pretty null
-chardev null,id=a
-chardev backend=null,id=a
-chardev null,id=a,server
-chardev null,id=a -mon a,id=x
-chardev null,id=a -mon chardev=a,mode=control,pretty
-chardev null,id=a -mon chardev=a,nopretty
-mon foo -chardev null,id=foo
-chardev null,id=x -qmp chardev:x
-rtc base=2006-06-17T16:01:21
-rtc base=localtime,clock=host,driftfix=slew
-boot c,menu=on
-boot strict=on -boot order=d
-msg timestamp
-sandbox on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny
-no-shutdown -no-reboot
-smbios type=1,serial=x
-global kvm-pit.lost_tick_policy=delay
-global driver=kvm-pit,property=lost_tick_policy,value=delay
-drive if=none,id=d
-blockdev driver=null-co,node-name=n0
-audiodev none,id=a
-serial null -parallel null
-serial chardev:a -chardev null,id=a
-vnc none
-k en-us
-fsdev local,id=f,path=/tmp,security_model=none
-d unimp
-watchdog-action reset
-action panic=none,shutdown=pause
-icount auto
-accel tcg,thread=multi
-machine boot.order=c
-overcommit cpu-pm=on
-name x,debug-threads=on,process=foo
-chardev ringbuf,id=p
-object iothread,id=i,poll-max-ns=1000
-object '{"qom-type":"secret","id":"s","data":"x"}'
-object rng-builtin,id=i -object throttle-group,id=g,x-bps-total=1
"""

HELP = """
-version
-version -m 1X
-M xx -version
-m 1G,help
-m 1G,?
-m 1G,help,foo=1
-mon foo,help
-smp help
-smp 1,help
-smp help -m 1X
-overcommit help
-overcommit mem-lock=off,?
"""


def lines(table: str) -> list[str]:
    return table.strip().splitlines()


def real(arguments: list[str], folder: str) -> tuple[str, str, int]:
    done = subprocess.run(
        [PROGRAM, *arguments], input=QUIT, cwd=folder, capture_output=True, text=True, timeout=60, check=False
    )
    return done.stdout, done.stderr, done.returncode


def ours(arguments: list[str]) -> tuple[str, int]:
    try:
        settings = parse(["/usr/bin/" + PROGRAM, *arguments], qemu="7.2")
    except CommandLineError as error:
        messages, status = error.messages, 1
    else:
        messages, status = settings.warnings, settings.question.status if settings.question else 0
    return "".join(f"{PROGRAM}: {message}\n" for message in messages), status


@pytest.mark.parametrize("line", lines(WRONG))
def test_wrong_lines_end_with_the_same_text(line: str, tmp_path: str) -> None:
    arguments = [*BASE, *shlex.split(line)]
    _, text, status = real(arguments, tmp_path)
    assert status == 1
    assert ours(arguments) == (text, status)


@pytest.mark.parametrize("line", lines(RIGHT))
def test_right_lines_are_right_with_the_same_warnings(line: str, tmp_path: str) -> None:
    arguments = [*BASE, *shlex.split(line), "-qmp", "stdio"]
    _, text, status = real(arguments, tmp_path)
    assert status == 0
    assert ours(arguments) == (text, status)


@pytest.mark.parametrize("line", lines(HELP))
def test_questions_are_answered_in_the_same_place(line: str, tmp_path: str) -> None:
    arguments = [*BASE, *shlex.split(line)]
    output, text, status = real(arguments, tmp_path)
    assert ours(arguments) == (text, status)
    question = parse([PROGRAM, *arguments], qemu="7.2").question
    assert question is not None
    if question.kind == "text":
        assert question.text + "\n" == output
