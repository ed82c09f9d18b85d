//! Parse, run, exit code: 0 answered, 1 could not (one sentence on standard error), 2 wrong usage.

use pymem_tui::{cli, command, sys, text::tell};
use std::io::{self, Write};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: sys::memory::OrSayIt = sys::memory::OrSayIt;

fn main() -> ExitCode {
    sys::signals::file_size_limit_is_an_error();
    let cli = match cli::parse(std::env::args_os(), command::version()) {
        Ok(cli) => cli,
        Err(error) => {
            let usage = ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
            // help is an answer like any other; that wrong usage could not be told changes nothing
            let printed = error.print().and_then(|()| io::stdout().flush());
            return if error.use_stderr() { usage } else { ended(printed.map_err(Into::into)) };
        }
    };
    ended(command::run(cli))
}

fn ended(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if command::is_broken_pipe(&error) => ExitCode::SUCCESS, // `| head` has seen enough
        Err(error) => {
            tell(format_args!("pymem-tui: {}", command::one_sentence(&error)));
            if command::is_usage(&error) { ExitCode::from(2) } else { ExitCode::FAILURE }
        }
    }
}
