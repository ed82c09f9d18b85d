//! The real program in a real terminal: what is typed goes in, what a person would see comes out.
#![allow(dead_code)] // each test binary uses its part

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use std::io::{Read, Write};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// For a test that would hang.
const PATIENCE: Duration = Duration::from_secs(8);

struct Shared {
    screen: Mutex<vt100::Parser>,
    /// All that the program wrote.
    raw: Mutex<Vec<u8>>,
    changed: Condvar,
}

/// A terminal with the program in it; the program is killed when this is dropped.
pub struct Terminal {
    shared: Arc<Shared>,
    master: Box<dyn MasterPty>,
    input: Box<dyn Write>,
    child: Box<dyn Child + Send + Sync>,
    /// The terminal's modes before the program had it.
    modes: String,
    /// Where the program's temporary files go.
    temporary: tempfile::TempDir,
}

fn size((columns, rows): (u16, u16)) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

impl Terminal {
    pub fn start(arguments: &[&str], (columns, rows): (u16, u16)) -> Terminal {
        let pty = native_pty_system().openpty(size((columns, rows))).unwrap();
        let modes = modes(&*pty.master);
        let mut command = CommandBuilder::new(env!("CARGO_BIN_EXE_pymem-tui"));
        command.args(arguments);
        command.env("TERM", "xterm-256color");
        command.env_remove("NO_COLOR");
        let temporary = tempfile::tempdir().unwrap();
        command.env("TMPDIR", temporary.path());
        command.cwd(env!("CARGO_MANIFEST_DIR"));
        let child = pty.slave.spawn_command(command).unwrap();
        let mut reader = pty.master.try_clone_reader().unwrap();
        let input = pty.master.take_writer().unwrap();
        let parser = vt100::Parser::new(rows, columns, 0);
        let shared = Arc::new(Shared { screen: Mutex::new(parser), raw: Mutex::default(), changed: Condvar::new() });
        let told = shared.clone();
        std::thread::spawn(move || {
            let mut buffer = [0; 1 << 16];
            while let Ok(n @ 1..) = reader.read(&mut buffer) {
                told.raw.lock().unwrap().extend(&buffer[..n]);
                told.screen.lock().unwrap().process(&buffer[..n]);
                told.changed.notify_all();
            }
        });
        Terminal { shared, master: pty.master, input, child, modes, temporary }
    }

    /// What the program has in its temporary folder.
    pub fn temporary_files(&self) -> Vec<std::path::PathBuf> {
        std::fs::read_dir(self.temporary.path()).unwrap().map(|e| e.unwrap().path()).collect()
    }

    /// Whether the first cell of a text on the screen stands out by colour or weight.
    pub fn stands_out(&self, text: &str) -> bool {
        let parser = self.shared.screen.lock().unwrap();
        let screen = parser.screen();
        let (rows, columns) = screen.size();
        let contents = screen.contents();
        let row = contents.lines().position(|line| line.contains(text)).unwrap();
        assert!(row < usize::from(rows));
        let first = text.chars().next().unwrap().to_string();
        let cell = (0..columns).filter_map(|c| screen.cell(row as u16, c)).find(|c| c.contents() == first).unwrap();
        cell.bold() || cell.fgcolor() != vt100::Color::Default
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.pid()), signal).unwrap();
    }

    pub fn pid(&self) -> i32 {
        self.child.process_id().unwrap() as i32
    }

    /// What the terminal shows, line by line.
    pub fn screen(&self) -> String {
        self.shared.screen.lock().unwrap().screen().contents()
    }

    /// What the program wrote until now, byte by byte.
    pub fn seen(&self) -> Vec<u8> {
        self.shared.raw.lock().unwrap().clone()
    }

    /// Waits until the screen fulfils a condition; returns it.
    #[track_caller]
    pub fn wait(&self, what: &str, condition: impl Fn(&str) -> bool) -> String {
        let begun = Instant::now();
        let mut parser = self.shared.screen.lock().unwrap();
        loop {
            let contents = parser.screen().contents();
            if condition(&contents) {
                return contents;
            }
            assert!(begun.elapsed() < PATIENCE, "waited in vain for {what}; the screen shows\n{contents}");
            parser = self.shared.changed.wait_timeout(parser, Duration::from_millis(100)).unwrap().0;
        }
    }

    #[track_caller]
    pub fn wait_for(&self, text: &str) -> String {
        self.wait(&format!("{text:?}"), |screen| screen.contains(text))
    }

    /// Types.
    pub fn keys(&mut self, keys: &str) {
        self.input.write_all(keys.as_bytes()).unwrap();
        self.input.flush().unwrap();
    }

    pub fn resize(&self, (columns, rows): (u16, u16)) {
        self.shared.screen.lock().unwrap().screen_mut().set_size(rows, columns);
        self.master.resize(size((columns, rows))).unwrap();
    }

    /// The exit code, once the program ended by itself; the terminal must be as it was before.
    #[track_caller]
    pub fn ended(&mut self) -> u32 {
        let begun = Instant::now();
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(begun.elapsed() < PATIENCE, "it does not end; the screen shows\n{}", self.screen()),
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let begun = Instant::now();
        loop {
            let parser = self.shared.screen.lock().unwrap();
            let screen = parser.screen();
            let mouse = screen.mouse_protocol_mode() != vt100::MouseProtocolMode::None;
            let left = !screen.alternate_screen() && !screen.hide_cursor() && !mouse && !screen.bracketed_paste();
            if left {
                break;
            }
            assert!(begun.elapsed() < PATIENCE, "the terminal is not given back: {}", screen.contents());
            let _ = self.shared.changed.wait_timeout(parser, Duration::from_millis(50)).unwrap();
        }
        assert_eq!(modes(&*self.master), self.modes, "the terminal's modes are what they were");
        status.exit_code()
    }

    /// Whether the program draws on the alternate screen.
    pub fn is_drawing(&self) -> bool {
        self.shared.screen.lock().unwrap().screen().alternate_screen()
    }

    /// Ends the program as a crash would.
    pub fn kill(&mut self) {
        self.signal(nix::sys::signal::Signal::SIGKILL);
        self.child.wait().unwrap();
    }
}

fn modes(master: &dyn MasterPty) -> String {
    format!("{:?}", master.get_termios())
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
