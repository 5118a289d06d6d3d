//! What a program needs when it links against nothing: an entry, an end, memory. The only unsafe code in the repository.

use core::alloc::{GlobalAlloc, Layout};
use core::arch::{asm, global_asm};
use core::cell::UnsafeCell;
use core::fmt::{self, Write as _};
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicUsize, Ordering};

// The kernel enters here with no return address; calls want the stack aligned to 16.
global_asm!(".globl _start", "_start:", "xor ebp, ebp", "and rsp, -16", "call {start}", "ud2", start = sym start);

extern "C" fn start() -> ! {
    exit(crate::main())
}

/// One system call with three arguments.
fn syscall(number: usize, a: usize, b: usize, c: usize) -> usize {
    let result;
    // SAFETY: only `write` and `exit` are called, which read at most the `c` bytes at `b` that the callers own.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") a, in("rsi") b, in("rdx") c,
             out("rcx") _, out("r11") _, options(nostack));
    }
    result
}

fn exit(code: u8) -> ! {
    loop {
        syscall(60, usize::from(code), 0, 0);
    }
}

struct StandardError;

impl fmt::Write for StandardError {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        syscall(1, 2, text.as_ptr().addr(), text.len());
        Ok(())
    }
}

#[panic_handler]
fn panicked(info: &PanicInfo<'_>) -> ! {
    // Nothing is left to do if this fails too.
    let _ = writeln!(StandardError, "{info}");
    exit(101)
}

/// Hands out one megabyte from its start to its end and takes nothing back.
struct Bump {
    memory: UnsafeCell<[u8; SIZE]>,
    used: AtomicUsize,
}

const SIZE: usize = 1 << 20;

// SAFETY: the bytes are only ever reached through disjoint allocations.
unsafe impl Sync for Bump {}

// SAFETY: allocations are disjoint, aligned as asked and inside `memory`, for `used` only grows.
unsafe impl GlobalAlloc for Bump {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let base = self.memory.get().cast::<u8>();
        let mut offset = 0;
        let reserved = self.used.try_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
            let address = base.addr().checked_add(used)?.checked_next_multiple_of(layout.align())?;
            offset = address - base.addr();
            offset.checked_add(layout.size()).filter(|end| *end <= SIZE)
        });
        match reserved {
            Ok(_) => base.wrapping_add(offset),
            Err(_) => core::ptr::null_mut(),
        }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static HEAP: Bump = Bump { memory: UnsafeCell::new([0; SIZE]), used: AtomicUsize::new(0) };

// The compiler calls these by name. They are instructions rather than loops, for it turns such loops into calls to these.

/// # Safety
/// As in C: `n` bytes at both, not overlapping.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("rep movsb", inout("rcx") n => _, inout("rdi") to => _, inout("rsi") from => _,
             options(nostack, preserves_flags));
    }
    to
}

/// # Safety
/// As in C: `n` bytes at both.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    if to.addr().wrapping_sub(from.addr()) >= n {
        // SAFETY: copying upwards never overwrites what is still to be read.
        return unsafe { memcpy(to, from, n) };
    }
    // SAFETY: the caller's promise; copying downwards never overwrites what is still to be read.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") n => _, inout("rdi") to.wrapping_add(n).wrapping_sub(1) => _,
             inout("rsi") from.wrapping_add(n).wrapping_sub(1) => _, options(nostack));
    }
    to
}

/// # Safety
/// As in C: `n` bytes at `to`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    unsafe {
        asm!("rep stosb", inout("rcx") n => _, inout("rdi") to => _, in("al") byte.to_le_bytes()[0],
             options(nostack, preserves_flags));
    }
    to
}

/// # Safety
/// As in C: `n` bytes at both.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    for at in 0..n {
        // SAFETY: the caller's promise; volatile, or the compiler may see a `memcmp` here.
        let (x, y) = unsafe { (a.add(at).read_volatile(), b.add(at).read_volatile()) };
        if x != y {
            return i32::from(x) - i32::from(y);
        }
    }
    0
}

/// # Safety
/// As in C: `n` bytes at both.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    // SAFETY: the caller's promise.
    unsafe { memcmp(a, b, n) }
}
