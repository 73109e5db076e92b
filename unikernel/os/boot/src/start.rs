//! What the hypervisor tells at the start (xen/include/public/arch-x86/hvm/start_info.h).

/// A part of the machine's memory that is free to use: addresses from `start` to before `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// The first byte.
    pub start: u64,
    /// The first byte after it.
    pub end: u64,
}

/// What the application is started with.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// The kernel's arguments, as given to the hypervisor.
    pub arguments: &'static str,
    /// The largest part of memory above the image.
    pub memory: Region,
    /// A file that was loaded with the image, empty where there is none.
    pub initrd: &'static [u8],
    /// Cycles at the entry.
    pub entered: u64,
}

#[repr(C)]
struct Info {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    modules_at: u64,
    arguments_at: u64,
    rsdp: u64,
    map_at: u64,
    map_entries: u32,
    reserved: u32,
}

#[repr(C)]
struct Module {
    address: u64,
    size: u64,
    arguments: u64,
    reserved: u64,
}

#[repr(C)]
struct MapEntry {
    address: u64,
    size: u64,
    kind: u32,
    reserved: u32,
}

const MAGIC: u32 = 0x336e_c578;
const USABLE: u32 = 1;
/// No hypervisor gives more than a page of arguments.
const MOST_ARGUMENTS: usize = 4096;

impl Start {
    /// Reads what the hypervisor left at `info`; `None` where that is something else.
    ///
    /// # Safety
    /// `info` is what the hypervisor gave at the entry, and all of low memory is mapped.
    pub(crate) unsafe fn read(info: u64, entered: u64, image: Region, mapped: u64) -> Option<Self> {
        // SAFETY: the caller's.
        let info = unsafe { &*(info as *const Info) };
        if info.magic != MAGIC || info.version < 1 {
            return None;
        }
        let initrd = if info.modules == 0 {
            Region { start: 0, end: 0 }
        } else {
            // SAFETY: the structure says that there is one.
            let module = unsafe { &*(info.modules_at as *const Module) };
            Region {
                start: module.address,
                end: module.address + module.size,
            }
        };
        // SAFETY: the structure gives the address and the length.
        let map = unsafe {
            core::slice::from_raw_parts(info.map_at as *const MapEntry, info.map_entries as usize)
        };
        let free = map.iter().filter(|e| e.kind == USABLE).map(|e| Region {
            start: e.address,
            end: (e.address + e.size).min(mapped),
        });
        let memory = crate::memory::largest(free, &[image, initrd])?;
        Some(Self {
            // SAFETY: arguments end with a zero byte.
            arguments: unsafe { text(info.arguments_at) },
            memory,
            // SAFETY: as above; nobody else is given this memory.
            initrd: unsafe {
                core::slice::from_raw_parts(
                    core::ptr::without_provenance(initrd.start.max(1) as usize),
                    (initrd.end - initrd.start) as usize,
                )
            },
            entered,
        })
    }
}

/// A text that ends with a zero byte; what is not UTF-8 is not there.
///
/// # Safety
/// It is not changed any more.
unsafe fn text(at: u64) -> &'static str {
    if at == 0 {
        return "";
    }
    let start = at as *const u8;
    // SAFETY: the caller's; the length is bounded.
    let length = (0..MOST_ARGUMENTS)
        .find(|n| unsafe { *start.add(*n) } == 0)
        .unwrap_or(0);
    // SAFETY: as above.
    core::str::from_utf8(unsafe { core::slice::from_raw_parts(start, length) }).unwrap_or_default()
}
