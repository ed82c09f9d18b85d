//! What in an output a terminal would act on.

use pymem_tui::text::is_plain;

/// What a terminal could act on, apart from the ends of lines and, where asked for, colour.
pub fn attack(output: &[u8], color: bool) -> Option<String> {
    let text = String::from_utf8_lossy(output).into_owned();
    let text = if color { strip_colors(&text) } else { text };
    let bad = text.char_indices().find(|(_, c)| *c != '\n' && !is_plain(*c))?;
    let line = text[..bad.0].lines().count();
    Some(format!("{:?} in line {line}: {:?}", bad.1, text.lines().nth(line.saturating_sub(1))))
}

/// Without our own colours: ESC [ digits and semicolons m.
fn strip_colors(text: &str) -> String {
    let mut out = String::new();
    let mut parts = text.split("\x1b[");
    out.push_str(parts.next().unwrap_or(""));
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';');
        match rest.strip_prefix('m') {
            // the attack's own sequence is 31m, which is none of ours
            Some(rest) if !part.starts_with("31m") => out.push_str(rest),
            _ => {
                out.push_str("\x1b[");
                out.push_str(part);
            }
        }
    }
    out
}
