//! The console: the serial port of a PC (16550).

use core::fmt::{self, Write};

use uk_arch::port;

const DATA: u16 = 0x3f8;
const STATUS: u16 = DATA + 5;
const CAN_SEND: u8 = 0x20;

/// Writes bytes.
pub fn write(bytes: &[u8]) {
    for byte in bytes {
        // SAFETY: sending a byte harms nothing; QEMU's port is ready at once.
        unsafe {
            while port::read8(STATUS) & CAN_SEND == 0 {}
            port::write8(DATA, *byte);
        }
    }
}

/// The console as a text's destination.
pub struct Console;

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        write(text.as_bytes());
        Ok(())
    }
}

/// Prints a line.
#[macro_export]
macro_rules! println {
    ($($arguments:tt)*) => {{
        use core::fmt::Write as _;
        let _ = writeln!($crate::console::Console, $($arguments)*);
    }};
}
