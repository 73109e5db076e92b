//! Says hello, or fails as it is told: `fault=null`, `fault=code`, `fault=stack`, `fault=panic`.
#![no_std]
#![no_main]

use core::hint::black_box;
use core::ptr::{read_volatile, without_provenance, write_volatile};

use uk_app::{Start, println};

uk_app::main!(main);

fn main(start: &Start) -> u8 {
    println!(
        "hello: {} cycles from entry to main, arguments {:?}",
        uk_arch::cycles() - start.entered,
        start.arguments
    );
    let fault = start
        .arguments
        .split_ascii_whitespace()
        .find_map(|word| word.strip_prefix("fault="));
    match fault {
        // SAFETY: none: each of these is meant to be caught.
        Some("null") => drop(unsafe { read_volatile(black_box(without_provenance::<u64>(8))) }),
        // SAFETY: as above.
        Some("code") => unsafe { write_volatile(black_box(main as *const () as *mut u64), 0) },
        Some("stack") => drop(deeper(0)),
        Some(other) => panic!("told to: {other}"),
        None => {}
    }
    0
}

/// Uses stack until there is none.
fn deeper(depth: u64) -> u64 {
    let used = black_box([depth; 64]);
    if depth == u64::MAX {
        0
    } else {
        deeper(depth + 1) + used[7]
    }
}
