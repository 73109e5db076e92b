//! Gives the linker the layout of the image.

fn main() {
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo:rerun-if-changed={here}/../../boot/image.ld");
    println!("cargo:rustc-link-arg-bins=-T{here}/../../boot/image.ld");
}
