//! Unikernels on QEMU, without KVM: that they start, that faults are caught and told, and that one serves HTTP.

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::ensure;
use minicloud_tests::netns::Netns;
use minicloud_tests::programs::{output, run};
use minicloud_tests::{Background, eventually};

const QEMU: &str = "qemu-system-x86_64";

/// Where `cargo xtask test` puts what it builds.
fn image(name: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target")),
        PathBuf::from,
    );
    let image = target
        .join("unikernel/x86_64-unknown-linux-gnu/release")
        .join(name);
    assert!(
        image.exists(),
        "{} is missing: `cargo xtask test` builds it",
        image.display()
    );
    image
}

/// Gives a command the words for a machine with an image and these mebibytes: nothing but a console, and the device that ends it.
fn machine(command: &mut Command, name: &str, memory: u32, arguments: &str) {
    command
        .args(["-nodefaults", "-no-reboot", "-display", "none"])
        .args(["-machine", "microvm,acpi=off,pit=off,pic=off,rtc=off"])
        .args(["-accel", "tcg", "-cpu", "max", "-serial", "stdio"])
        .args(["-m", &memory.to_string()])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=4"])
        .args(["-append", arguments])
        .arg("-kernel")
        .arg(image(name));
}

/// What the machine's end looks like from outside: QEMU doubles the code and adds one.
fn ended(code: i32) -> Option<i32> {
    Some(2 * code + 1)
}

#[test]
fn faults_are_told_and_end_the_machine() {
    let netns = Netns::new().unwrap_or_else(|e| panic!("{e:#}"));
    for (arguments, code, said) in [
        ("some words", 0, "arguments \"some words\""),
        ("fault=null", 102, "0x8 may not be read"),
        ("fault=code", 102, "may not be written"),
        ("fault=stack", 102, "fault: page fault at"),
        ("fault=unheard-of", 101, "told to: unheard-of"),
    ] {
        let mut command = netns.command("timeout");
        command.args(["60", QEMU]);
        machine(&mut command, "uk-hello", 4, arguments);
        let output = output(&mut command).unwrap_or_else(|e| panic!("{e:#}"));
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(text.contains(said), "{arguments}: {text}");
        assert_eq!(output.status.code(), ended(code), "{arguments}: {text}");
    }
}

#[test]
fn a_web_server_of_two_mebibytes() {
    let netns = Netns::new().unwrap_or_else(|e| panic!("{e:#}"));
    let mut command = netns.command(QEMU);
    machine(&mut command, "uk-http", 2, "");
    command
        .args(["-global", "virtio-mmio.force-legacy=false"])
        .args(["-netdev", "user,id=n,hostfwd=tcp:127.0.0.1:8080-:80"])
        .args(["-device", "virtio-net-device,netdev=n"]);
    let machine = Background::start(command);
    machine.wait_for("http://10.0.2.15:80/");
    let page = "http://127.0.0.1:8080/";
    eventually("the page", Duration::from_secs(10), || {
        let said = run(netns.command("curl").args(["-s", "--max-time", "5", page]))?;
        ensure!(said == "Hello from minicloud.\n", "{said:?}");
        Ok(())
    });
    // Many requests on few connections: buffers come round several times.
    let urls = vec![page; 500].join("\n");
    let list = tempfile::NamedTempFile::new().unwrap_or_else(|e| panic!("{e}"));
    let config: String = urls.lines().map(|url| format!("url={url}\n")).collect();
    std::fs::write(list.path(), config).unwrap_or_else(|e| panic!("{e}"));
    let mut curl = netns.command("curl");
    curl.args(["-s", "--max-time", "60", "--config"])
        .arg(list.path());
    let said =
        run(curl.args(["--parallel", "--parallel-max", "8"])).unwrap_or_else(|e| panic!("{e:#}"));
    assert_eq!(said.matches("Hello from minicloud.\n").count(), 500);
    // A request that is longer than any that it answers ends the connection and nothing else.
    let long = format!("X: {}", "y".repeat(4000));
    let refused = output(
        netns
            .command("curl")
            .args(["-s", "--max-time", "5", "-H", &long, page]),
    );
    assert!(refused.is_ok_and(|o| !o.status.success()));
    let said = run(netns.command("curl").args(["-s", "--max-time", "5", page]));
    assert_eq!(
        said.unwrap_or_else(|e| panic!("{e:#}")),
        "Hello from minicloud.\n"
    );
    assert!(!machine.said().contains("fault"), "{}", machine.said());
}
