//! An HTTP server on the low-level interfaces.
#![no_std]
#![no_main]

extern crate alloc;

use alloc::vec::Vec;

use uk_app::{Start, println};
use uk_net::{Device, Receive};
use uk_platform::time;
use uk_stack::smoltcp::socket::tcp;
use uk_stack::smoltcp::time::Instant;
use uk_stack::{Address, Stack};
use uk_virtio::net::Net;
use uk_virtio::{DeviceType, mmio};

const PORT: u16 = 80;
const CONNECTIONS: usize = 64;
/// Bytes of the longest request.
const RECEIVE: usize = 2048;
const SEND: usize = 4096;
const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 22\r\n\r\nHello from minicloud.\n";

uk_app::main!(main);

fn main(start: &Start) -> u8 {
    // SAFETY: the arguments are the hypervisor's; once.
    let Some((place, transport)) = (unsafe { mmio::find(start.arguments, DeviceType::Network) })
    else {
        println!("http: there is no network device");
        return 1;
    };
    // SAFETY: microvm has an I/O APIC.
    unsafe { uk_arch::apic::route(place.interrupt, true) };
    let now = || Instant::from_micros((time::nanoseconds() / 1000) as i64);
    let mut stack = Stack::new(
        Net::new(transport),
        Address::Automatic,
        uk_arch::cycles(),
        now(),
    );
    let sockets: Vec<_> = (0..CONNECTIONS).map(|_| stack.tcp(RECEIVE, SEND)).collect();
    let mut told = false;
    loop {
        stack.poll(now());
        if !told && let Some(address) = stack.address() {
            println!(
                "http: http://{address}:{PORT}/ after {} us",
                time::nanoseconds() / 1000
            );
            told = true;
        }
        let mut busy = false;
        for handle in &sockets {
            let socket = stack.sockets.get_mut::<tcp::Socket<'_>>(*handle);
            if !socket.is_open() {
                let _ = socket.listen(PORT);
            }
            busy |= serve(socket);
        }
        if busy {
            continue;
        }
        let due = stack
            .due(now())
            .map_or(u64::MAX, |us| us.saturating_mul(1000));
        if due == 0 {
            continue;
        }
        stack.device().halves().0.interrupt(true);
        if !stack.device().halves().0.has_received() {
            time::sleep(due);
        }
        stack.device().halves().0.interrupt(false);
        stack.device().acknowledge();
    }
}

/// Answers the requests that are complete. `true` when there was one.
fn serve(socket: &mut tcp::Socket<'_>) -> bool {
    let mut answered = false;
    // Peeked into one piece: the socket's own buffer is a ring, and a request may lie across its end.
    let mut data = [0; RECEIVE];
    while socket.can_recv() && socket.send_capacity() - socket.send_queue() >= ANSWER.len() {
        let length = socket.peek_slice(&mut data).unwrap_or(0);
        let Some(end) = data[..length].windows(4).position(|end| end == b"\r\n\r\n") else {
            if length == RECEIVE {
                // Longer than any request that this server answers.
                socket.abort();
            }
            break;
        };
        let _ = socket.recv_slice(&mut data[..end + 4]);
        let _ = socket.send_slice(ANSWER);
        answered = true;
    }
    if socket.may_send() && !socket.may_recv() {
        socket.close();
    }
    answered
}
