//! Which tasks a person wants to see: by state, name, coroutine.

use crate::analysis::answers::Task;

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

    /// Whether a task matches.
    pub fn matches(&self, task: &Task) -> bool {
        let coros = || task.coro.iter().chain(task.stack.iter().map(|f| &f.function));
        self.state.as_deref().is_none_or(|state| task.state == Some(state))
            && self.name.as_deref().is_none_or(|name| task.name.as_deref().is_some_and(|n| contains(n, name)))
            && self.coro.as_deref().is_none_or(|coro| coros().any(|c| contains(c, coro)))
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
    use crate::analysis::answers::Frame;

    #[test]
    fn all_that_is_asked_for_must_match() {
        let frame = Frame { function: "Queue.get".into(), ..Frame::default() };
        let task = Task {
            name: Some("Worker-1".into()),
            state: Some("pending"),
            coro: Some("Pool.work".into()),
            stack: vec![frame],
            ..Task::default()
        };
        let filter = |state: &str, name: &str, coro: &str| {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            Filter { state: some(state), name: some(name), coro: some(coro) }
        };
        assert!(filter("", "", "").is_empty() && filter("", "", "").matches(&task));
        assert!(
            filter("pending", "worker", "pool.W").matches(&Task { coro: Some("pool.Work".into()), ..task.clone() })
        );
        assert!(filter("", "", "queue.get").matches(&task), "a coroutine below counts");
        for other in [filter("finished", "", ""), filter("", "WORKER", ""), filter("pending", "worker", "put")] {
            assert!(!other.matches(&task), "{other:?}");
        }
    }
}
