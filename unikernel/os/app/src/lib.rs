//! What an application stands on: its start, its memory, its end.
//!
//! An application is `no_std` and `no_main` and says `uk_app::main!(main)` for a `fn main(start: &Start) -> u8`, whose result is the
//! machine's exit code.
#![no_std]

use uk_platform::{exit, fault, time};

pub use uk_boot::Start;
pub use uk_platform::println;

#[cfg(all(feature = "buddy", not(feature = "bump")))]
use uk_alloc::buddy::Buddy as Allocator;
#[cfg(feature = "bump")]
use uk_alloc::bump::Bump as Allocator;
#[cfg(all(feature = "talc", not(any(feature = "bump", feature = "buddy"))))]
use uk_alloc::talc::Talc as Allocator;

#[cfg(any(feature = "bump", feature = "buddy", feature = "talc"))]
#[global_allocator]
static MEMORY: Allocator = Allocator::new();

/// Names the application's own start.
#[macro_export]
macro_rules! main {
    ($main:path) => {
        #[unsafe(no_mangle)]
        fn uk_main(start: &$crate::Start) -> u8 {
            $main(start)
        }
    };
}

unsafe extern "Rust" {
    safe fn uk_main(start: &Start) -> u8;
}

/// Called by the boot code: faults are told of, memory can be had, time goes on; then it is the application's turn.
#[unsafe(no_mangle)]
fn uk_start(start: Start) -> ! {
    // SAFETY: the start, once.
    unsafe { fault::install() };
    #[cfg(any(feature = "bump", feature = "buddy", feature = "talc"))]
    // SAFETY: the boot code says that nobody has this memory.
    unsafe {
        use uk_alloc::Allocator as _;
        MEMORY.give(start.memory.start as usize, start.memory.end as usize);
    }
    // SAFETY: exceptions have been set up above; once.
    unsafe { time::start() };
    exit(uk_main(&start))
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    println!("{info}");
    exit(fault::PANIC)
}
