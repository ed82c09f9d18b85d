//! Which tasks a person wants to see: by state, name, coroutine.

/// What a task must be; an empty one matches all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// `pending`, `finished`, `cancelled`.
    pub state: Option<String>,
    /// A part of its name. Without upper case letters, upper and lower case are the same.
    pub name: Option<String>,
    /// A part of the qualified name of its coroutine, or of one that this awaits.
    pub coro: Option<String>,
}

impl Filter {
    /// Whether every task matches.
    pub fn is_empty(&self) -> bool {
        *self == Filter::default()
    }

    /// Whether a task matches: its state, its name, the names of its coroutines; the last two are read when they matter.
    pub fn matches(
        &self,
        state: Option<&str>,
        name: impl FnOnce() -> Option<String>,
        coroutines: impl FnOnce() -> Vec<String>,
    ) -> bool {
        self.state.as_deref().is_none_or(|wanted| state == Some(wanted))
            && self.name.as_deref().is_none_or(|part| name().is_some_and(|name| contains(&name, part)))
            && self.coro.as_deref().is_none_or(|part| coroutines().iter().any(|coro| contains(coro, part)))
    }
}

/// As the explorer's filter does: upper case is exact.
fn contains(text: &str, part: &str) -> bool {
    match part.chars().any(char::is_uppercase) {
        true => text.contains(part),
        false => text.to_lowercase().contains(part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_asked_for_must_match() {
        let filter = |state: &str, name: &str, coro: &str| {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Filter { state: some(state), name: some(name), coro: some(coro) }
        };
        let matches = |filter: Filter| {
            let coroutines = || vec!["Pool.work".to_owned(), "Queue.get".to_owned()];
            filter.matches(Some("pending"), || Some("Worker-1".to_owned()), coroutines)
        };
        assert!(filter("", "", "").is_empty() && matches(filter("", "", "")));
        assert!(matches(filter("pending", "worker", "Pool.")));
        assert!(matches(filter("", "", "queue.get")), "a coroutine below counts");
        for other in [filter("finished", "", ""), filter("", "WORKER", ""), filter("pending", "worker", "put")] {
            assert!(!matches(other.clone()), "{other:?}");
        }
    }
}
