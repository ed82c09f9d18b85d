//! A bar for a share of a whole, in eighths of a column.

/// `share` (0 to 1) as a bar of `width` columns; the rest is blank, or shaded when `shaded`.
pub fn bar(share: f64, width: usize, shaded: bool) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * width as f64 * 8.0).round() as usize;
    let mut out = "█".repeat(eighths / 8);
    let rest = width - eighths / 8;
    let blank = if shaded { '░' } else { ' ' };
    if rest > 0 {
        out.push(if eighths.is_multiple_of(8) { blank } else { EIGHTHS[eighths % 8] });
        out.extend(std::iter::repeat_n(blank, rest - 1));
    }
    out
}

/// A share in per cent: `79 %`; what would round to nothing is `<1 %`.
pub fn percent(part: u64, whole: u64) -> String {
    if whole == 0 || part == 0 {
        return "0 %".into();
    }
    let percent = (part as f64 * 100.0 / whole as f64).round();
    if percent < 1.0 { "<1 %".into() } else { format!("{percent} %") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_fill_in_eighths_and_never_overflow() {
        assert_eq!(bar(0.0, 4, false), "    ");
        assert_eq!(bar(0.5, 4, true), "██░░");
        assert_eq!(bar(0.53, 4, false), "██▏ ");
        assert_eq!(bar(0.0001, 4, false), "    ");
        for share in [1.0, 7.0, f64::NAN, f64::INFINITY, -1.0] {
            assert_eq!(bar(share, 4, false).chars().count(), 4);
        }
        assert_eq!(bar(1.0, 0, false), "");
        assert_eq!([percent(0, 9), percent(1, 1000), percent(79, 100), percent(5, 0)], ["0 %", "<1 %", "79 %", "0 %"]);
    }
}
