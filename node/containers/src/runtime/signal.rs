//! Names of signals.

use minicloud_agent::runtime::RuntimeError;
use rustix::process::Signal;

/// `SIGUSR1` or `USR1`. Real-time signals are not served.
pub(super) fn parse(name: &str) -> Result<Signal, RuntimeError> {
    Ok(match name.strip_prefix("SIG").unwrap_or(name) {
        "HUP" => Signal::HUP,
        "INT" => Signal::INT,
        "QUIT" => Signal::QUIT,
        "ILL" => Signal::ILL,
        "TRAP" => Signal::TRAP,
        "ABRT" | "IOT" => Signal::ABORT,
        "BUS" => Signal::BUS,
        "FPE" => Signal::FPE,
        "KILL" => Signal::KILL,
        "USR1" => Signal::USR1,
        "SEGV" => Signal::SEGV,
        "USR2" => Signal::USR2,
        "PIPE" => Signal::PIPE,
        "ALRM" => Signal::ALARM,
        "TERM" => Signal::TERM,
        "CHLD" | "CLD" => Signal::CHILD,
        "CONT" => Signal::CONT,
        "STOP" => Signal::STOP,
        "TSTP" => Signal::TSTP,
        "TTIN" => Signal::TTIN,
        "TTOU" => Signal::TTOU,
        "URG" => Signal::URG,
        "XCPU" => Signal::XCPU,
        "XFSZ" => Signal::XFSZ,
        "VTALRM" => Signal::VTALARM,
        "PROF" => Signal::PROF,
        "WINCH" => Signal::WINCH,
        "IO" | "POLL" => Signal::IO,
        "PWR" => Signal::POWER,
        "SYS" => Signal::SYS,
        _ => {
            return Err(RuntimeError::Unsupported(format!(
                "the stop signal {name:?}"
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(parse("SIGUSR1").unwrap(), Signal::USR1);
        assert_eq!(parse("QUIT").unwrap(), Signal::QUIT);
        for name in ["", "SIG", "SIGRTMIN+3", "sigterm", "15"] {
            assert!(
                matches!(parse(name), Err(RuntimeError::Unsupported(_))),
                "{name}"
            );
        }
    }
}
