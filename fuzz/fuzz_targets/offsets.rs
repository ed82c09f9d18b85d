#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| pymem_tui_fuzz::targets::offsets(data));
