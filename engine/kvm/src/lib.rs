//! Whether KVM works on this machine, found by starting a guest.
//!
//! That `/dev/kvm` opens says little: inside a virtual machine it may be an emulation under which no kernel boots. The guest here does
//! what every kernel does first and an emulation gets wrong first: it sets model-specific and control registers, asks for the
//! processor's features, and uses vector registers with the processor's highest rights.
//!
//! A broken KVM may hang: whoever probes does it in a process that can be ended.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod x86_64;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub use x86_64::probe;

/// No guest is written for this kind of processor yet.
///
/// # Errors
/// Always.
#[cfg(not(all(target_os = "linux", target_arch = "x86_64")))]
pub fn probe() -> Result<String, String> {
    Err("nobody has written a guest for this kind of processor yet".into())
}
