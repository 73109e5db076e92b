//! The guest for x86-64: 64-bit mode from the start, five pages of memory.

use kvm_bindings::{KVM_MAX_CPUID_ENTRIES, kvm_segment, kvm_userspace_memory_region};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

const CODE: usize = 0x1000;
const PML4: usize = 0x2000;
const PDPT: usize = 0x3000;
const PD: usize = 0x4000;
const MEMORY: usize = 0x6000;
/// Where the guest says that it is through, and what it says.
const PORT: u16 = 0xf4;
const WORD: u8 = 0x2a;
/// Exits before the last one: none is needed, some are allowed.
const MOST_EXITS: usize = 16;

#[rustfmt::skip]
const GUEST: &[u8] = &[
    0xb9, 0x80, 0x00, 0x00, 0xc0,                   // mov ecx, EFER
    0x0f, 0x32,                                     // rdmsr
    0x0f, 0x30,                                     // wrmsr
    0x0f, 0x20, 0xe0,                               // mov rax, cr4
    0x0f, 0x22, 0xe0,                               // mov cr4, rax
    0x31, 0xc0,                                     // xor eax, eax
    0x0f, 0xa2,                                     // cpuid
    0x66, 0x0f, 0xef, 0xc0,                         // pxor xmm0, xmm0
    0x0f, 0x11, 0x04, 0x25, 0x00, 0x50, 0x00, 0x00, // movups [0x5000], xmm0
    0x0f, 0x10, 0x0c, 0x25, 0x00, 0x50, 0x00, 0x00, // movups xmm1, [0x5000]
    0xb0, WORD,                                     // mov al, WORD
    0x66, 0xba, PORT as u8, 0x00,                   // mov dx, PORT
    0xee,                                           // out dx, al
    0xf4,                                           // hlt
];

const PRESENT_WRITABLE: u64 = 3;
const LARGE: u64 = 1 << 7;
const CR0_PROTECTED_NATIVE_PAGING: u64 = 1 | 1 << 1 | 1 << 5 | 1 << 31;
const CR4_PAE_SSE: u64 = 1 << 5 | 1 << 9 | 1 << 10;
const EFER_LONG_MODE: u64 = 1 << 8 | 1 << 10;

/// Starts the guest. What was tried, for a person.
///
/// # Errors
/// What failed, for a person.
pub fn probe() -> Result<String, String> {
    let kvm = Kvm::new().map_err(|e| format!("/dev/kvm cannot be opened: {e}"))?;
    let vm = kvm
        .create_vm()
        .map_err(|e| format!("no machine can be made: {e}"))?;
    let memory = Memory::new()?;
    let region = kvm_userspace_memory_region {
        slot: 0,
        guest_phys_addr: 0,
        memory_size: MEMORY as u64,
        userspace_addr: memory.0 as u64,
        flags: 0,
    };
    // SAFETY: the memory is there for as long as anything runs in it: to the end of this function.
    unsafe { vm.set_user_memory_region(region) }
        .map_err(|e| format!("the machine gets no memory: {e}"))?;
    let mut vcpu = vm
        .create_vcpu(0)
        .map_err(|e| format!("no processor can be made: {e}"))?;
    let features = kvm
        .get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)
        .map_err(|e| format!("the processor's features are not told: {e}"))?;
    vcpu.set_cpuid2(&features)
        .map_err(|e| format!("the processor gets no features: {e}"))?;
    registers(&vcpu).map_err(|e| format!("the processor's registers cannot be set: {e}"))?;
    for _ in 0..MOST_EXITS {
        match vcpu.run() {
            Ok(VcpuExit::IoOut(PORT, [WORD])) => {
                return Ok("a guest in 64-bit mode ran to its end".into());
            }
            Ok(VcpuExit::Intr) => {}
            // An emulation that does not know an instruction.
            Ok(VcpuExit::InternalError) => {
                return Err("a small guest does not run: KVM gives up on an instruction".into());
            }
            Ok(exit) => return Err(format!("a small guest does not run: {exit:?}")),
            Err(error) => return Err(format!("a small guest does not run: {error}")),
        }
    }
    Err("a small guest does not come to its end".into())
}

fn registers(vcpu: &VcpuFd) -> Result<(), kvm_ioctls::Error> {
    let mut special = vcpu.get_sregs()?;
    let segment = |selector, kind, l, db| kvm_segment {
        base: 0,
        limit: u32::MAX,
        selector,
        type_: kind,
        present: 1,
        dpl: 0,
        db,
        s: 1,
        l,
        g: 1,
        ..Default::default()
    };
    special.cs = segment(8, 11, 1, 0);
    let data = segment(16, 3, 0, 1);
    (special.ds, special.es, special.ss) = (data, data, data);
    special.cr0 = CR0_PROTECTED_NATIVE_PAGING;
    special.cr3 = PML4 as u64;
    special.cr4 = CR4_PAE_SSE;
    special.efer = EFER_LONG_MODE;
    vcpu.set_sregs(&special)?;
    let mut general = vcpu.get_regs()?;
    general.rip = CODE as u64;
    general.rsp = MEMORY as u64;
    general.rflags = 2;
    vcpu.set_regs(&general)
}

/// The guest's memory, mapped here.
struct Memory(*mut u8);

impl Memory {
    fn new() -> Result<Self, String> {
        let access = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: new memory, wherever there is room.
        let start =
            unsafe { mmap_anonymous(core::ptr::null_mut(), MEMORY, access, MapFlags::PRIVATE) };
        let start = start.map_err(|e| format!("no memory: {e}"))?.cast::<u8>();
        // SAFETY: just mapped, zeroed, and nobody else has it.
        let memory = unsafe { core::slice::from_raw_parts_mut(start, MEMORY) };
        memory[CODE..CODE + GUEST.len()].copy_from_slice(GUEST);
        let mut entry = |at: usize, value: u64| {
            memory[at..at + 8].copy_from_slice(&value.to_le_bytes());
        };
        entry(PML4, PDPT as u64 | PRESENT_WRITABLE);
        entry(PDPT, PD as u64 | PRESENT_WRITABLE);
        entry(PD, PRESENT_WRITABLE | LARGE);
        Ok(Self(start))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and used by nobody any more.
        let _ = unsafe { munmap(self.0.cast(), MEMORY) };
    }
}
