//! A path in one line, as a person would write it: namespaces of modules and of instances are no steps of their own.

use super::super::answers::PathStep;

/// Columns of a step's name.
const MAX_EDGE: usize = 60;

/// `sys.modules['app'].CACHE['k'] → dict → [17] → Foo`: an expression for where the path begins, up to the first thing
/// that is in a variable; then types and references in turn.
pub(in crate::analysis) fn fold(path: &[PathStep]) -> String {
    let Some((first, last)) = path.first().zip(path.last()) else { return String::new() };
    let mut expression = first.edge.clone();
    let mut parts: Vec<String> = Vec::new();
    let mut open = true;
    for (before, step, edge) in named(path) {
        if open {
            expression.push_str(&spaced(&edge));
            open = is_namespace(path, before);
        } else {
            parts.push(short(&step.type_name).to_owned());
            parts.push(edge);
        }
    }
    parts.insert(0, expression);
    parts.push(short(&last.type_name).to_owned());
    parts.join(" → ")
}

/// What the object at the end of a path is called by what holds it: `Client.response_futures`, `app.CACHE`.
pub(in crate::analysis) fn owner(path: &[PathStep]) -> Option<String> {
    let steps = named(path);
    let Some(at) = steps.iter().rposition(|(_, _, edge)| edge.starts_with('.') || edge.starts_with("local ")) else {
        let beyond: String = steps.iter().map(|(_, _, edge)| edge.as_str()).collect();
        return Some(local(&path.first()?.edge)? + &beyond);
    };
    let (before, holder, edge) = steps.get(at)?;
    let beyond: String = steps.iter().skip(at + 1).map(|(_, _, edge)| edge.as_str()).collect();
    let name = match edge.strip_prefix("local ") {
        // up to 3.10 frames are objects, which a thread's stack holds
        Some(name) => match path.first().and_then(|root| root.edge.strip_suffix("()")).filter(|_| *before == 0) {
            Some(frame) => format!("{}() local {name}", frame.split_once(": ").map_or(frame, |(_, function)| function)),
            None => name.to_owned(),
        },
        None if is_namespace(path, *before) => {
            // the module's key in sys.modules, without its quotes
            let module = path.get(1).map(|s| s.edge.trim_matches(|c| "[]'\"".contains(c)).to_owned());
            format!("{}{edge}", module.unwrap_or_default())
        }
        None => format!("{}{edge}", short(&holder.type_name)),
    };
    Some(name + &beyond)
}

/// The function and the variable of a root in a frame: `main() local books`, whichever thread runs it.
fn local(root: &str) -> Option<String> {
    let (frame, variable) = root.rsplit_once("() local ")?;
    let function = frame.split_once(": ").map_or(frame, |(_, function)| function);
    Some(format!("{function}() local {variable}"))
}

/// For each reference that is shown: the place of the object that it is of, that object, and what it is called. An
/// instance's `__dict__` and the key in it are one.
fn named(path: &[PathStep]) -> Vec<(usize, &PathStep, String)> {
    let mut found: Vec<(usize, &PathStep, String)> = Vec::new();
    // whose namespace the object before is
    let mut namespace: Option<usize> = None;
    for (i, pair) in path.windows(2).enumerate() {
        let [holder, held] = pair else { continue };
        let holds = namespace.take();
        if held.edge == ".__dict__" && held.type_name == "dict" && i + 2 < path.len() {
            namespace = Some(i);
            continue;
        }
        match holds.and_then(|of| Some((of, path.get(of)?, attribute(&held.edge)?))) {
            Some((of, instance, name)) => found.push((of, instance, format!(".{name}"))),
            None => found.push((i, holder, crate::text::keep_start(&held.edge, MAX_EDGE).into_owned())),
        }
    }
    found
}

/// Whether the `i`th object is `sys.modules` or a module in it.
fn is_namespace(path: &[PathStep], i: usize) -> bool {
    i < 2 && path.first().is_some_and(|first| first.edge.starts_with("sys.modules"))
}

/// `['name']` as the name alone, where it is an identifier.
fn attribute(edge: &str) -> Option<&str> {
    let name = edge.strip_prefix("['")?.strip_suffix("']")?;
    let plain =
        !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    plain.then_some(name)
}

fn spaced(edge: &str) -> String {
    if edge.starts_with(['.', '[']) { edge.to_owned() } else { format!(" {edge}") }
}

fn short(type_name: &str) -> &str {
    type_name.rsplit('.').next().unwrap_or(type_name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpython::EdgeKind;
    use crate::snapshot::Addr;

    fn path(steps: &[(&str, &str)]) -> Vec<PathStep> {
        let step = |(edge, type_name): &(&str, &str)| PathStep {
            address: Addr(8),
            type_name: (*type_name).into(),
            edge: (*edge).into(),
            kind: EdgeKind::Strong,
            summary: String::new(),
        };
        steps.iter().map(step).collect()
    }

    #[test]
    fn modules_and_instances_are_folded() {
        let module = [("sys.modules", "dict"), ("['app']", "module"), (".__dict__", "dict"), ("['CACHE']", "dict")];
        let mut cached = path(&module);
        cached.extend(path(&[("['k']", "dict"), ("[17]", "app.Foo")]));
        assert_eq!(fold(&cached), "sys.modules['app'].CACHE['k'] → dict → [17] → Foo");
        assert_eq!(owner(&path(&module)).as_deref(), Some("app.CACHE"));
        let frame = [("thread 7: main() local client", "app.Client"), (".__dict__", "dict"), ("['futures']", "dict")];
        assert_eq!(fold(&path(&frame)), "thread 7: main() local client.futures → dict");
        assert_eq!(owner(&path(&frame)).as_deref(), Some("Client.futures"));
        assert_eq!(owner(&path(&frame[..1])).as_deref(), Some("main() local client"));
        let item = [("thread 7: <module>() local books", "list"), ("[3]", "app.Book")];
        assert_eq!(owner(&path(&item)).as_deref(), Some("<module>() local books[3]"));
        let object = [("thread 7: main()", "frame"), ("local books", "list"), ("[3]", "app.Book")];
        assert_eq!(owner(&path(&object)).as_deref(), Some("main() local books[3]"));
        let inline =
            [("held by C code", "Task"), (".task_coro", "coroutine"), ("local c", "app.Client"), (".futures", "dict")];
        assert_eq!(fold(&path(&inline)), "held by C code.task_coro → coroutine → local c → Client → .futures → dict");
        assert_eq!(owner(&path(&inline)).as_deref(), Some("Client.futures"));
        assert_eq!(fold(&path(&[("sys.modules", "dict")])), "sys.modules → dict");
        assert_eq!(fold(&[]), "");
    }
}
