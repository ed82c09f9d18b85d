//! How long a key press takes to be drawn while a scan runs: the real binary in a pseudo-terminal.
//!
//! `cargo bench --bench keys -- SNAPSHOT [ROUNDS]`: opens the explorer on a big snapshot, presses `j` while the status
//! line says that it scans or links, and prints how long the terminal waited for the first byte that came back.

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let Some(snapshot) = args.first() else {
        println!("keys: give a snapshot: cargo bench --bench keys -- SNAPSHOT [ROUNDS]");
        return;
    };
    let rounds = args.get(1).and_then(|n| n.parse().ok()).unwrap_or(5);
    let mut waits: Vec<f64> = (0..rounds).flat_map(|_| one_run(snapshot)).collect();
    waits.sort_by(f64::total_cmp);
    let at = |share: f64| waits.get(((waits.len() as f64 - 1.0) * share) as usize).copied().unwrap_or(f64::NAN);
    println!(
        "{} key presses during {rounds} scans: median {:.1} ms, 95 % {:.1} ms, longest {:.1} ms",
        waits.len(),
        at(0.5),
        at(0.95),
        at(1.0)
    );
}

/// Waits from a key press to the first output after it, in milliseconds, while the scan runs.
fn one_run(snapshot: &str) -> Vec<f64> {
    let pty = native_pty_system();
    let pair = pty.openpty(PtySize { rows: 50, cols: 200, pixel_width: 0, pixel_height: 0 }).expect("a terminal");
    let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_pymem-tui"));
    command.arg(snapshot);
    command.env("TERM", "xterm-256color");
    let mut child = pair.slave.spawn_command(command).expect("the explorer starts");
    let mut reader = pair.master.try_clone_reader().expect("the terminal's output");
    let mut keys = pair.master.take_writer().expect("the terminal's input");
    let (out, output) = channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 1 << 16];
        while let Ok(n) = reader.read(&mut buffer) {
            if n == 0 || out.send((Instant::now(), buffer[..n].to_vec())).is_err() {
                break;
            }
        }
    });
    let mut screen = vt100::Parser::new(50, 200, 0);
    let mut waits = Vec::new();
    let begin = Instant::now();
    let mut down = true;
    while begin.elapsed() < Duration::from_secs(20) {
        drain(&output, &mut screen);
        let text = screen.screen().contents();
        if text.contains("bytes") && !text.contains("scanning") {
            break; // the table is complete
        }
        if !text.contains("scanning") || !text.contains("str") {
            continue;
        }
        let pressed = Instant::now();
        keys.write_all(if down { b"j" } else { b"k" }).expect("a key");
        down = !down;
        let before = cursor_row(&screen);
        while pressed.elapsed() < Duration::from_secs(2) {
            match output.recv_timeout(Duration::from_millis(500)) {
                Ok((at, bytes)) => {
                    screen.process(&bytes);
                    if cursor_row(&screen) != before {
                        waits.push((at - pressed).as_secs_f64() * 1e3);
                        break;
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return waits,
            }
        }
    }
    let _ = keys.write_all(b"q");
    let _ = child.kill();
    let _ = child.wait();
    waits
}

fn drain(output: &Receiver<(Instant, Vec<u8>)>, screen: &mut vt100::Parser) {
    while let Ok((_, bytes)) = output.recv_timeout(Duration::from_millis(1)) {
        screen.process(&bytes);
    }
}

/// The row that is marked as selected.
fn cursor_row(screen: &vt100::Parser) -> Option<usize> {
    screen.screen().contents().lines().position(|l| l.starts_with("│▌"))
}
