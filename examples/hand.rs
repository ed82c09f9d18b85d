#![allow(dead_code)]
use pymem_tui::*;
#[path = "../src/tui/fake.rs"]
mod fake;
use std::sync::{Arc, mpsc::sync_channel};
use std::time::Duration;
fn main() -> anyhow::Result<()> {
    let (rtx, rrx) = sync_channel::<(worker::protocol::Ticket, worker::protocol::Request)>(16);
    let (utx, urx) = sync_channel(64);
    std::thread::spawn(move || {
        let _ = utx.send(fake::opened());
        for p in (1..=100).step_by(3).chain([100]) {
            for u in fake::scanned(p) {
                let _ = utx.send(u);
            }
            std::thread::sleep(Duration::from_millis(if std::env::var("SLOW").is_ok() { 300 } else { 5 }));
        }
        let _ = utx.send(worker::protocol::Update::Idle { source: fake::SOURCE });
        for (t, r) in rrx {
            if let worker::protocol::Request::Save { path } = &r
                && path.starts_with("/panic")
            {
                panic!("worker fell over");
            }
            let _ = utx.send(fake::reply(t, &r));
        }
    });
    let handle = worker::Handle { requests: rtx, updates: urx, cancel: Arc::new(|_| {}), sources: vec![fake::SOURCE] };
    tui::run(handle, tui::Options::default())
}
