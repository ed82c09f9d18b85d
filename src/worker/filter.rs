//! Which lines a filter lets through. Only the text is looked at, whatever it is about.

/// Smart case, `!` inverts.
pub(super) struct Filter {
    text: String,
    exact: bool,
    inverse: bool,
}

impl Filter {
    pub(super) fn new(filter: &str) -> Filter {
        let (text, inverse) = filter.strip_prefix('!').map_or((filter, false), |rest| (rest, true));
        let exact = text.chars().any(char::is_uppercase);
        Filter { text: if exact { text.to_owned() } else { text.to_lowercase() }, exact, inverse }
    }

    pub(super) fn accepts(&self, line: &str) -> bool {
        let found = if self.exact { line.contains(&self.text) } else { line.to_lowercase().contains(&self.text) };
        found != self.inverse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_have_smart_case_and_can_be_inverted() {
        assert!(Filter::new("err").accepts("ValueError('x')"));
        assert!(!Filter::new("Err").accepts("an error"));
        assert!(Filter::new("!err").accepts("fine"));
        assert!(!Filter::new("!err").accepts("ERROR"));
    }
}
