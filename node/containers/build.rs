//! Builds the pause program (`pause/pause.rs`) for the target, to be embedded in the binary.

use std::env;
use std::path::PathBuf;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=pause");
    let variable = |name: &str| env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"));
    let out = PathBuf::from(variable("OUT_DIR")).join("pause");
    let mut rustc = Command::new(variable("RUSTC"));
    rustc
        .args([
            "--edition",
            "2024",
            "--crate-type",
            "bin",
            "--crate-name",
            "pause",
        ])
        .args(["--target", &variable("TARGET")])
        .args([
            "-Cpanic=abort",
            "-Copt-level=z",
            "-Cstrip=symbols",
            "-Cforce-unwind-tables=no",
        ])
        .args(["-Crelocation-model=static", "-Ctarget-feature=+crt-static"])
        .args(
            [
                "-nostartfiles",
                "-nostdlib",
                "-static",
                "-Wl,--build-id=none",
                "-Wl,-n",
            ]
            .map(|a| format!("-Clink-arg={a}")),
        )
        .arg("-o")
        .arg(&out)
        .arg("pause/pause.rs");
    // What cargo was told to link this target with.
    if let Ok(linker) = env::var("RUSTC_LINKER") {
        rustc.arg(format!("-Clinker={linker}"));
    }
    match rustc.status() {
        Ok(status) if status.success() => {}
        Ok(status) => panic!("rustc failed on pause/pause.rs: {status}"),
        Err(error) => panic!("cannot run rustc for pause/pause.rs: {error}"),
    }
}
