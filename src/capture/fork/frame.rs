//! What lies on the stack of a thread while it works for us: a way back that needs nobody.
//!
//! Two signal frames, below the red zone of the thread's own stack, as rt_sigreturn(2) reads them. Whatever becomes of
//! us, the thread runs into the first, which waits for a child that we may have left in it, and from there into the
//! second, which is the state it was found in: registers, signal mask, floating point. Only bytes are made here.
//!
//! Layouts: `struct rt_sigframe`, `ucontext` and `sigcontext` of Linux (arch/x86/include/uapi/asm/sigcontext.h,
//! ucontext.h, arch/x86/include/asm/sigframe.h), unchanged since they are the ABI of signal handlers.

use super::gadgets::Gadgets;
use nix::libc::{self, user_regs_struct};

/// The bytes that a thread's stack gets, and where.
#[derive(Debug)]
pub(super) struct Frames {
    /// First address of `bytes`, and the stack pointer that leads into the first frame.
    pub start: u64,
    pub bytes: Vec<u8>,
    /// The stack pointer of a child: what it finds there ends it.
    pub child_stack: u64,
    /// Scratch: 32 bytes that a call may write to.
    pub scratch: u64,
    /// Where the first frame keeps which child to wait for: any (-1), until it is known.
    pub awaited: u64,
}

const RED_ZONE: u64 = 128;
/// `struct rt_sigframe`: the return address, `struct ucontext` (flags, link, the alternate stack, `struct sigcontext`,
/// mask), `struct siginfo`.
const FRAME: u64 = 8 + 40 + 256 + 8 + 128;
/// Offset of `struct sigcontext` in it.
const CONTEXT: usize = 8 + 40;
/// Where a saved floating-point state says what it is (`struct _fpx_sw_bytes`).
const SOFTWARE: usize = 464;

/// Bytes of stack that are used for an extended state of `state` bytes, at most.
pub(super) fn room(state: usize) -> u64 {
    RED_ZONE + 1024 + state as u64 + 2 * (FRAME + 128)
}

impl Frames {
    /// For a thread with these registers, this signal mask and this extended state (NT_X86_XSTATE).
    pub(super) fn new(regs: &user_regs_struct, mask: u64, state: &[u8], gadgets: &Gadgets) -> Option<Frames> {
        let features = word(state, SOFTWARE)?;
        let mut state = state.to_vec();
        let size = u32::try_from(state.len()).ok()?;
        let software = state.get_mut(SOFTWARE..SOFTWARE + 48)?;
        software.fill(0);
        software[..4].copy_from_slice(&0x4650_5853u32.to_le_bytes()); // FP_XSTATE_MAGIC1
        software[4..8].copy_from_slice(&(size + 4).to_le_bytes());
        software[8..16].copy_from_slice(&features.to_le_bytes());
        software[16..20].copy_from_slice(&size.to_le_bytes());
        state.extend_from_slice(&0x4650_5845u32.to_le_bytes()); // FP_XSTATE_MAGIC2

        let child_stack = regs.rsp.checked_sub(RED_ZONE + 256)? & !63;
        let state_at = child_stack.checked_sub(64 + state.len() as u64)? & !63;
        let true_at = state_at.checked_sub(FRAME + 64)? & !15;
        let start = true_at.checked_sub(FRAME + 64)? & !15;

        let restored = restarted(*regs);
        // reap a child that was left behind, then return into the true state
        let mut reap = restored;
        (reap.rax, reap.rdi, reap.rsi, reap.rdx, reap.r10) = (libc::SYS_wait4 as u64, u64::MAX, 0, WCLONE, 0);
        (reap.rip, reap.rsp) = (gadgets.call, true_at);

        let mut bytes = vec![0; (child_stack + 64 - start) as usize];
        let mut put = |at: u64, what: &[u8]| {
            let offset = (at - start) as usize;
            if let Some(into) = bytes.get_mut(offset..offset + what.len()) {
                into.copy_from_slice(what);
            }
        };
        put(start, &frame(&reap, u64::MAX, state_at, gadgets));
        put(true_at, &frame(&restored, mask, state_at, gadgets));
        put(state_at, &state);
        put(child_stack, &gadgets.exit.to_le_bytes());
        // r8 to r15 stand before rdi in the context
        Some(Frames { start, bytes, child_stack, scratch: child_stack + 32, awaited: start + CONTEXT as u64 + 64 })
    }
}

/// `__WCLONE` as a register: children whose end is not told by SIGCHLD.
const WCLONE: u64 = 0x8000_0000;

/// The registers after the kernel's own restart of an interrupted call (arch_do_signal_or_restart). A call that would
/// go on with the time that is left (ERESTART_RESTARTBLOCK) ends with EINTR instead: that memory of the kernel's is
/// lost on a return from a signal.
fn restarted(mut regs: user_regs_struct) -> user_regs_struct {
    if (regs.orig_rax as i64) < 0 {
        return regs;
    }
    match -(regs.rax as i64) {
        512..=514 => {
            regs.rax = regs.orig_rax;
            regs.rip = regs.rip.wrapping_sub(2);
        }
        516 => regs.rax = -i64::from(libc::EINTR) as u64,
        _ => {}
    }
    regs.orig_rax = u64::MAX;
    regs
}

fn frame(regs: &user_regs_struct, mask: u64, state_at: u64, gadgets: &Gadgets) -> Vec<u8> {
    let mut words = vec![gadgets.sigreturn];
    // UC_FP_XSTATE, UC_SIGCONTEXT_SS, UC_STRICT_RESTORE_SS; no link; an alternate stack with flags that are invalid, so
    // that the thread's own is left alone
    words.extend([7, 0, 0, 7, 0]);
    let r = regs;
    words.extend([r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15]);
    words.extend([r.rdi, r.rsi, r.rbp, r.rbx, r.rdx, r.rax, r.rcx, r.rsp, r.rip, r.eflags]);
    words.push((r.cs & 0xffff) | (r.ss & 0xffff) << 48);
    words.extend([0, 0, 0, 0, state_at]); // err, trapno, oldmask, cr2, fpstate
    words.extend([0; 8]);
    words.push(mask);
    let mut bytes: Vec<u8> = words.iter().flat_map(|w| w.to_le_bytes()).collect();
    bytes.resize(FRAME as usize, 0);
    bytes
}

fn word(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn regs() -> user_regs_struct {
        // SAFETY: a struct of integers, for which all zeros is a value.
        let mut regs: user_regs_struct = unsafe { std::mem::zeroed() };
        (regs.rsp, regs.rip, regs.cs, regs.ss) = (0x7fff_0000_1238, 0x4000, 0x33, 0x2b);
        (regs.orig_rax, regs.rax, regs.rdi, regs.r15) = (202, -512i64 as u64, 77, 15);
        regs
    }

    #[test]
    fn the_frames_lie_below_the_red_zone_and_lead_back() {
        let gadgets = Gadgets { call: 0x1000, sigreturn: 0x2000, exit: 0x3000 };
        let state = vec![1; 2696];
        let frames = Frames::new(&regs(), 0x55, &state, &gadgets).unwrap();
        let end = frames.start + frames.bytes.len() as u64;
        assert!(end <= regs().rsp - RED_ZONE && frames.start.is_multiple_of(16));
        assert!(regs().rsp - frames.start <= room(state.len()));
        let at = |address: u64| word(&frames.bytes, (address - frames.start) as usize).unwrap();
        assert_eq!(at(frames.start), gadgets.sigreturn);
        assert_eq!(at(frames.awaited), u64::MAX);
        assert_eq!(at(frames.child_stack), gadgets.exit);
        let context = |frame: u64, field: u64| at(frame + CONTEXT as u64 + 8 * field);
        assert_eq!((context(frames.start, 13), context(frames.start, 16)), (61, gadgets.call));
        let second = context(frames.start, 15);
        assert_eq!(at(second), gadgets.sigreturn);
        // the interrupted call is made again: rax is its number, rip before the instruction
        assert_eq!((context(second, 13), context(second, 16), context(second, 15)), (202, 0x3ffe, regs().rsp));
        assert_eq!((context(second, 7), context(second, 8)), (15, 77));
        assert_eq!(at(second + FRAME - 128 - 8), 0x55);
        let saved = context(second, 23);
        assert!(saved.is_multiple_of(64));
        assert_eq!(at(saved + SOFTWARE as u64) as u32, 0x4650_5853);
        let magic = at(saved + state.len() as u64) as u32;
        assert_eq!(magic, 0x4650_5845);
    }

    #[test]
    fn an_interrupted_call_is_restarted_or_told() {
        let after = |orig: i64, rax: i64| {
            let mut regs = regs();
            (regs.orig_rax, regs.rax) = (orig as u64, rax as u64);
            let regs = restarted(regs);
            (regs.rax as i64, regs.rip)
        };
        assert_eq!(after(202, -512), (202, 0x3ffe));
        assert_eq!(after(230, -516), (-4, 0x4000));
        assert_eq!(after(232, -4), (-4, 0x4000));
        assert_eq!(after(-1, -512), (-512, 0x4000));
    }
}
