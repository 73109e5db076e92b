//! How the released program is linked: smaller, where the linker is the toolchain's own (LLD) and the C library is new enough.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is = |variable: &str, value: &str| std::env::var(variable).as_deref() == Ok(value);
    if is("PROFILE", "release")
        && is("CARGO_CFG_TARGET_ARCH", "x86_64")
        && is("CARGO_CFG_TARGET_ENV", "gnu")
    {
        // Decoders of many types are the same code: one copy of each.
        println!("cargo:rustc-link-arg-bins=-Wl,--icf=all");
        // Relocations as a bitmap (DT_RELR, glibc 2.36) instead of 24 bytes each.
        println!("cargo:rustc-link-arg-bins=-Wl,-z,pack-relative-relocs");
    }
}
