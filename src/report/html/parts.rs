//! The page's parts in words and tables.

use super::{Html, Page};
use crate::analysis::answers::{Frame, Leaks, Severity, Tasks, Thread, Types};
use crate::text::{count, size};
use std::io;

const TYPES: usize = 40;
const SUSPECTS: usize = 20;
const CYCLES: usize = 50;
const GROUPS: usize = 30;
const THREADS: usize = 200;
const FRAMES: usize = 100;
const LOCALS: usize = 30;

pub(super) fn facts(html: &mut Html<'_>, page: &Page<'_>) -> io::Result<()> {
    let info = page.info;
    let mut facts = Vec::new();
    facts.extend(info.pid.map(|pid| format!("pid {pid}")));
    facts.extend(
        info.python
            .as_ref()
            .map(|v| format!("{} {v}{}", info.implementation, if info.free_threaded { ", free-threaded" } else { "" })),
    );
    facts.extend(info.captured_at.as_ref().map(|at| format!("captured {at}")));
    facts.extend(info.pause_ms.map(|ms| format!("paused {ms:.1} ms")));
    facts.push(format!("{} captured", size(info.bytes)));
    facts.push(format!("{} objects, {}", count(page.types.total.count), size(page.types.total.shallow_bytes)));
    html.element("p", "class=\"dim\"", &facts.join(" · "))?;
    html.raw("\n")
}

pub(super) fn findings(html: &mut Html<'_>, page: &Page<'_>) -> io::Result<()> {
    html.heading("What stands out")?;
    let mut found: Vec<_> = page.findings.iter().collect();
    found.sort_by_key(|f| f.severity);
    if found.is_empty() && page.memory.findings.is_empty() {
        return html.paragraph("Nothing that this program looks for.");
    }
    html.raw("<ul class=\"findings\">\n")?;
    for finding in found {
        let class = match finding.severity {
            Severity::Stuck => "class=\"stuck\"",
            Severity::Warning => "class=\"warning\"",
            Severity::Note => "",
        };
        html.raw("<li>")?;
        html.element("span", class, finding.severity.mark())?;
        html.raw(" ")?;
        html.text(&finding.text())?;
        html.raw("</li>\n")?;
    }
    for finding in &page.memory.findings {
        html.element("li", "", &format!("{} {}", Severity::Note.mark(), finding.sentence))?;
        html.raw("\n")?;
    }
    html.raw("</ul>\n")
}

/// Each suspect with the path that keeps it.
pub(super) fn suspects(html: &mut Html<'_>, leaks: &Leaks) -> io::Result<()> {
    html.heading("Leak suspects")?;
    if leaks.suspects.is_empty() {
        return html.paragraph("Nothing looks like a leak.");
    }
    for suspect in leaks.suspects.iter().take(SUSPECTS) {
        html.element("h3", "", &suspect.reason)?;
        html.raw("\n")?;
        let share = suspect.retained_bytes as f64 * 100.0 / leaks.heap_bytes.max(1) as f64;
        let (objects, bytes) = (count(suspect.retained_count), size(suspect.retained_bytes));
        html.paragraph(&format!("{objects} objects, {bytes} ({share:.1}% of the heap) would go with it. Held by:"))?;
        html.element("p", "class=\"path\"", &suspect.path_text)?;
        html.raw("\n")?;
    }
    html.more(leaks.suspects.len(), SUSPECTS)
}

pub(super) fn types(html: &mut Html<'_>, types: &Types) -> io::Result<()> {
    html.heading("Types")?;
    html.table(&["TYPE", ">COUNT", ">SIZE", ">SHARE", ""])?;
    let all = types.total.shallow_bytes.max(1) as f64;
    let largest = types.types.first().map_or(1, |t| t.shallow_bytes.max(1)) as f64;
    for row in types.types.iter().take(TYPES) {
        html.raw("<tr>")?;
        html.element("td", "class=\"c\"", &row.name)?;
        html.number(count(row.count))?;
        html.number(size(row.shallow_bytes))?;
        html.number(format!("{:.1}%", row.shallow_bytes as f64 * 100.0 / all))?;
        let width = row.shallow_bytes as f64 * 160.0 / largest;
        html.raw(&format!(
            "<td style=\"width:170px\"><svg viewBox=\"0 0 160 10\" role=\"presentation\"><rect width=\"{width:.1}\" height=\"10\" \
             fill=\"#4a7dbd\"/></svg></td></tr>\n"
        ))?;
    }
    html.raw("</table>\n")?;
    html.more(types.types.len(), TYPES)
}

pub(super) fn deadlocks(html: &mut Html<'_>, page: &Page<'_>) -> io::Result<()> {
    let of_tasks = page.tasks.verdicts.iter().filter(|v| v.deadlock);
    let sentences: Vec<&str> = page
        .threads
        .explained
        .iter()
        .map(String::as_str)
        .chain(of_tasks.map(|v| v.sentence.as_str()).filter(|s| !s.is_empty()))
        .collect();
    html.heading("Deadlocks")?;
    if sentences.is_empty() {
        return html.paragraph("None, of threads or of tasks.");
    }
    html.raw("<ul class=\"findings\">\n")?;
    for sentence in sentences.iter().take(CYCLES) {
        html.raw("<li><span class=\"stuck\">✗</span> ")?;
        html.text(sentence)?;
        html.raw("</li>\n")?;
    }
    html.raw("</ul>\n")?;
    html.more(sentences.len(), CYCLES)
}

pub(super) fn tasks(html: &mut Html<'_>, tasks: &Tasks) -> io::Result<()> {
    let total = &tasks.total;
    if total.tasks == 0 {
        return Ok(());
    }
    html.heading("Tasks")?;
    let (all, pending) = (count(total.tasks), count(total.pending));
    html.paragraph(&format!(
        "{all} {} of asyncio, {pending} not done; {} other futures.",
        if total.tasks == 1 { "task" } else { "tasks" },
        count(total.futures)
    ))?;
    if tasks.groups.is_empty() {
        return Ok(());
    }
    html.table(&[">TASKS", "COROUTINE", "WAITS AT", "FOR"])?;
    for group in tasks.groups.iter().take(GROUPS) {
        html.raw("<tr>")?;
        html.number(count(group.count))?;
        html.element("td", "class=\"c\"", &group.coro)?;
        let place = group
            .place
            .as_ref()
            .map(|p| format!("{}() {}{}", p.function, p.file, p.line.map(|n| format!(":{n}")).unwrap_or_default()));
        html.element("td", "class=\"c\"", place.as_deref().unwrap_or(""))?;
        html.element("td", "", group.waits_in.unwrap_or(""))?;
        html.raw("</tr>\n")?;
    }
    html.raw("</table>\n")?;
    html.more(tasks.groups.len(), GROUPS)
}

pub(super) fn stacks(html: &mut Html<'_>, page: &Page<'_>) -> io::Result<()> {
    html.heading("Threads")?;
    let common = page.threads.common_name();
    for thread in page.threads.threads.iter().take(THREADS) {
        let mark = if page.threads.is_deadlocked(thread) { "✗ " } else { "" };
        let name = thread.name.as_deref().unwrap_or("?");
        html.raw("<h3>")?;
        html.text(&format!("{mark}{name} "))?;
        html.element("span", "class=\"dim\"", &thread.about(common).join(", "))?;
        html.raw("</h3>\n")?;
        if let Some(wait) = &thread.waits_for {
            html.paragraph(&page.threads.waits(wait))?;
        }
        stack(html, thread, page.locals)?;
    }
    html.more(page.threads.threads.len(), THREADS)
}

fn stack(html: &mut Html<'_>, thread: &Thread, locals: bool) -> io::Result<()> {
    if thread.frames.is_empty() {
        return Ok(());
    }
    html.raw("<pre>")?;
    for frame in thread.frames.iter().take(FRAMES) {
        html.text(&format!("{}()  ", frame.function))?;
        html.element("span", "class=\"dim\"", &place(frame))?;
        html.raw("\n")?;
        for local in frame.locals.iter().take(if locals { LOCALS } else { 0 }) {
            html.text(&format!("    {} = {}", local.name, local.summary))?;
            html.raw("\n")?;
        }
    }
    html.raw("</pre>\n")?;
    html.more(thread.frames.len(), FRAMES)
}

fn place(frame: &Frame) -> String {
    format!("{}{}", frame.file, frame.line_and_column())
}

pub(super) fn problems(html: &mut Html<'_>, problems: &[String]) -> io::Result<()> {
    if problems.is_empty() {
        return Ok(());
    }
    html.heading("What could not be read")?;
    html.raw("<ul>\n")?;
    for problem in problems {
        html.element("li", "", problem)?;
        html.raw("\n")?;
    }
    html.raw("</ul>\n")
}
