//! What in an output a terminal would act on.

/// What a terminal could act on, apart from the ends of lines and, where asked for, colour.
pub fn attack(output: &[u8], color: bool) -> Option<String> {
    let text = String::from_utf8_lossy(output).into_owned();
    let text = if color { strip_colors(&text) } else { text };
    let bad = text.char_indices().find(|(_, c)| *c != '\n' && acts(*c))?;
    let line = text[..bad.0].lines().count();
    Some(format!("{:?} in line {line}: {:?}", bad.1, text.lines().nth(line.saturating_sub(1))))
}

/// What a terminal acts on or hides: Unicode's categories Cc, Cf, Zl and Zp, but for those that have a shape of their own.
/// A list of its own, so that the guard is not judged by itself.
fn acts(c: char) -> bool {
    matches!(c,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
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
