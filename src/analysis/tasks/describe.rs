//! Numbers of the graph as the answers that people read: names, stacks, what is waited for, sentences.

use super::between::Loops;
use super::filter::Filter;
use super::forest::{Forest, Places};
use super::graph::{Cycle, Graph};
use super::locks::Inside;
use super::roles::{Link, Primitive};
use super::uvloop;
use super::waits::Waker;
use super::world::{Node, World};
use crate::analysis::answers::{Ends, Future, Group, Local, Place, Retaining, Task, TreeRow, Verdict, WaitsIn};
use crate::analysis::frames::Frames;
use crate::analysis::variables::{self, MAX_NAME};
use crate::snapshot::Addr;
use crate::text::sanitize;
use std::collections::HashMap;
use std::fmt::Write;

/// Groups that are told.
const MAX_GROUPS: usize = 1000;

/// Members of a cycle that its sentence names.
const MAX_NAMED: usize = 8;

/// Writes answers; reads the texts that it needs.
pub struct Writer<'w, 'h> {
    pub world: &'w World<'w, 'h>,
    pub graph: &'w Graph,
    pub loops: &'w Loops,
    /// The other way round, of those nodes that are described.
    pub awaited_by: &'w HashMap<u32, Vec<u32>>,
    pub frames: Frames<'h>,
    pub locals: bool,
    /// What tasks keep alive, if that is told.
    pub retaining: Option<&'w Retaining>,
}

impl Writer<'_, '_> {
    pub fn retained(&self, task: Addr) -> Option<u64> {
        self.retaining?.tasks.get(&task).copied()
    }

    pub fn name(&self, node: &Node) -> Option<String> {
        let read = &self.world.read;
        // a task without a name of its own has a number, until somebody asks for it (3.12)
        let named = match node.in_c {
            true => read.field(node.address, "_name"),
            false => read.attribute(node.address, "_name"),
        }?;
        let name = match read.int(named) {
            Some(number) => Some(format!("Task-{number}")),
            None => read.text(named),
        };
        name.map(|n| sanitize(&n).into_owned())
    }

    pub fn coro(&self, node: &Node) -> Option<String> {
        let read = &self.world.read;
        let coroutine = Some(node.coroutine).filter(|c| !c.is_null())?;
        // one of Cython's has no name that is known
        let link = read.memory.type_of(coroutine).and_then(|ty| read.roles.link(ty));
        let own = || read.memory.generator_qualname(coroutine, MAX_NAME).filter(|name| !name.is_empty());
        let name = own().or_else(|| Some(read.memory.origin(read.memory.generator_code(coroutine)?).name));
        name.filter(|_| link == Some(Link::Frame)).map(|n| sanitize(&n).into_owned())
    }

    pub fn matches(&mut self, filter: &Filter, i: u32) -> bool {
        let Some(node) = self.world.nodes.get(i as usize).copied() else { return false };
        let coroutines = || {
            let below = if node.coroutine.is_null() { Vec::new() } else { self.world.read.frames(node.coroutine) };
            let name = |g| self.world.read.memory.generator_qualname(g, MAX_NAME);
            let below = below.iter().filter_map(|f| name(f.generator?));
            self.coro(&node).into_iter().chain(below).collect()
        };
        filter.matches(node.state.name(), || self.name(&node), coroutines)
    }

    pub fn task(&mut self, i: u32) -> Option<Task> {
        let node = *self.world.nodes.get(i as usize)?;
        let read = &self.world.read;
        let (result, exception) = self.outcome(&node);
        let waiter = match node.in_c {
            true => read.not_none(read.field(node.address, "_fut_waiter")),
            false => read.attribute(node.address, "_fut_waiter"),
        };
        let frames = if node.coroutine.is_null() { Vec::new() } else { read.frames(node.coroutine) };
        let stack = frames.iter().map(|f| self.frames.frame(f, self.locals)).collect();
        Some(Task {
            address: node.address,
            type_name: read.types().get(node.ty).name.clone(),
            name: self.name(&node),
            state: node.state.name(),
            running: node.is_pending() && node.running,
            coro: self.coro(&node),
            coroutine: Some(node.coroutine).filter(|c| !c.is_null()),
            result: result.map(|a| self.local(a)),
            exception: exception.map(|a| self.local(a)),
            event_loop: Some(node.event_loop).filter(|l| !l.is_null()),
            interpreter: self.loops.interpreter(node.event_loop),
            thread: self.loops.thread(node.event_loop).and_then(|t| t.native_id),
            fut_waiter: waiter,
            stack,
            whole: node.whole,
            awaits: self.awaits(i),
            awaited_by: self.awaiters(i),
            waits_in: self.waits_in(i),
            timeout: self.timeout(i),
            cycle: self.graph.cycle_of.get(&i).copied(),
            retained_bytes: self.retained(node.address),
        })
    }

    pub fn future(&mut self, i: u32) -> Option<Future> {
        let node = *self.world.nodes.get(i as usize)?;
        Some(Future {
            address: node.address,
            type_name: self.world.read.types().get(node.ty).name.clone(),
            state: node.state.name(),
            event_loop: Some(node.event_loop).filter(|l| !l.is_null()),
            awaits: self.awaits(i),
            awaited_by: self.awaiters(i),
            waits_in: self.waits_in(i),
            cycle: self.graph.cycle_of.get(&i).copied(),
        })
    }

    /// What a task returned and what it raised, of a finished one.
    pub fn outcome(&self, node: &Node) -> (Option<Addr>, Option<Addr>) {
        let read = &self.world.read;
        let outcome = |name| match node.in_c {
            true => read.not_none(read.field(node.address, name)),
            false => read.attribute(node.address, name),
        };
        let (result, exception) = (outcome("_result"), outcome("_exception"));
        // None is a result as well; what a Python task has not set is not
        let returned = result.or_else(|| {
            let none = node.in_c.then(|| read.field(node.address, "_result")).flatten();
            none.filter(|_| node.state == super::world::State::Finished)
        });
        (returned.filter(|_| exception.is_none()), exception)
    }

    pub fn awaits(&self, i: u32) -> Vec<Addr> {
        self.addresses(self.graph.awaits.of(i as usize))
    }

    pub fn awaiters(&self, i: u32) -> Vec<Addr> {
        self.addresses(self.awaited_by.get(&i).map_or(&[][..], Vec::as_slice))
    }

    /// The name of the task at an address.
    pub fn name_at(&self, address: Addr) -> Option<String> {
        self.name(self.world.nodes.get(self.world.find(address)?)?)
    }

    /// The functions from a task's own coroutine to the innermost await.
    pub fn functions(&mut self, node: &Node) -> Option<String> {
        let frames = Some(node.coroutine).filter(|c| !c.is_null()).map(|c| self.world.read.frames(c))?;
        let names: Vec<String> = frames.iter().map(|f| self.frames.frame(f, false).function).collect();
        (!names.is_empty()).then(|| names.join(" > "))
    }

    /// Of tasks and futures, each once; threads and futures of thread pools have no place in these lists.
    fn addresses(&self, of: &[u32]) -> Vec<Addr> {
        let mut all: Vec<u32> = of.to_vec();
        all.sort_unstable();
        all.dedup();
        all.iter().filter_map(|j| self.world.nodes.get(*j as usize)).map(|n| n.address).collect()
    }

    pub fn local(&self, address: Addr) -> Local {
        variables::local(self.world.read.heap, &self.world.read.memory, String::new(), address)
    }

    pub fn waits_in(&mut self, i: u32) -> Option<WaitsIn> {
        let wait = self.graph.wait(&self.world.nodes, i as usize);
        if wait.kind == Primitive::Unknown {
            return None;
        }
        let read = &self.world.read;
        let mut told = WaitsIn {
            kind: wait.kind.name(),
            address: wait.object,
            type_name: variables::type_name(read.heap, wait.object),
            ..WaitsIn::default()
        };
        match wait.kind {
            Primitive::Sleep | Primitive::Timer => {
                let ends = self.when(wait.object).map(|until| self.ends(until));
                (told.until, told.left) = (ends.map(|e| e.until), ends.and_then(|e| e.left));
            }
            Primitive::Socket => {
                let args = read.items_of(wait.object, "_args");
                let fd = args.into_iter().find_map(|a| read.socket_fd(a));
                told.fd = fd.or_else(|| uvloop::socket_fd(read, wait.object));
            }
            Primitive::Stream => {
                let transport = read.attribute(wait.object, "_transport");
                told.fd = transport.and_then(|t| read.transport_fd(t).or_else(|| uvloop::stream_fd(read, t)));
            }
            Primitive::Executor => told.thread = self.graph.between.workers.get(&wait.object).copied(),
            Primitive::Lock | Primitive::Semaphore => self.holders(&mut told),
            _ => {}
        }
        Some(told)
    }

    fn holders(&mut self, told: &mut WaitsIn) {
        let all = self.graph.inside.get(&told.address).map_or(&[][..], Vec::as_slice);
        let address = |inside: &Inside| self.world.nodes.get(inside.task as usize).map(|n| n.address);
        let certain = told.kind == "lock" || super::locks::are_all(self.world, told.address, all.len());
        if told.kind == "semaphore" {
            told.holders = all.iter().filter_map(address).collect();
        }
        if let ([one], true) = (all, certain) {
            told.holder = address(one);
            told.certainty = Some("frame");
            let at = self.frames.frame(&one.frame, false);
            told.held_at = Some(Place { function: at.function, file: at.file, line: one.line });
        }
    }

    /// When a timer or a timeout ends, by the loop's clock.
    fn when(&self, of: Addr) -> Option<f64> {
        let read = &self.world.read;
        let attribute = read.attribute(of, "_when").and_then(|w| read.float(w));
        attribute.or_else(|| uvloop::when(read, of))
    }

    /// An event loop's clock is the monotonic one (`BaseEventLoop.time`, `uv_now`).
    fn ends(&self, until: f64) -> Ends {
        let at_capture = self.world.read.heap.snapshot().metadata().and_then(|m| m.monotonic);
        Ends { until, left: at_capture.map(|now| until - now).filter(|left| left.is_finite()) }
    }

    fn times_out(&self, i: u32) -> String {
        self.timeout(i).map(Ends::times_out).unwrap_or_default()
    }

    /// The first of what ends a task's wait, whatever it waits for.
    fn timeout(&self, i: u32) -> Option<Ends> {
        let times = self.graph.timeouts(&self.world.nodes, i).filter_map(|of| self.when(of));
        times.min_by(f64::total_cmp).map(|until| self.ends(until))
    }

    fn waker(&self, waker: &Waker) -> String {
        let at = |of: &Addr| self.when(*of).map(|t| self.ends(t).ahead()).unwrap_or_default();
        match waker {
            Waker::Timer(of) => format!("a timer{}", at(of)),
            Waker::Timeout(of) => format!("a timeout{}", at(of)),
            Waker::Call => "a call that the loop is about to make, or makes when a file is ready".to_owned(),
        }
    }

    pub fn verdict(&mut self, cycle: &Cycle) -> Verdict {
        let mut wakers: Vec<String> = cycle.wakers.iter().map(|w| self.waker(w)).collect();
        wakers.extend(cycle.ways_out.iter().map(|other| match self.graph.between.thread(*other) {
            Some(_) => format!("{} is free", self.who(*other)),
            None => format!("{} finishes", self.graph.address(self.world, *other).unwrap_or_default()),
        }));
        wakers.sort();
        wakers.dedup();
        let times = cycle.wakers.iter().filter_map(|w| match w {
            Waker::Timer(of) | Waker::Timeout(of) => self.when(*of),
            _ => None,
        });
        let until = times.min_by(f64::total_cmp);
        let threads = cycle.members.iter().filter_map(|i| self.graph.between.thread(*i)?.native_id).collect();
        Verdict { deadlock: cycle.is_deadlock(), wakers, until, threads, sentence: self.sentence(cycle) }
    }

    /// `A awaits B; B waits for Lock 0x… held by A at f.py:12`.
    fn sentence(&mut self, cycle: &Cycle) -> String {
        let mut text = String::new();
        let is_told = |i: &&u32| self.is_task(**i) || self.graph.between.thread(**i).is_some();
        let told: Vec<u32> = cycle.members.iter().filter(is_told).copied().collect();
        for i in told.iter().take(MAX_NAMED) {
            let between = if text.is_empty() { "" } else { "; " };
            let Some(next) = self.next_in(cycle, *i) else { continue };
            let (who, other) = (self.who(*i), if next == *i { "itself".to_owned() } else { self.who(next) });
            let _ = match self.waits_in(*i).filter(|w| w.holder.is_some()) {
                Some(wait) => {
                    let ty = wait.type_name.rsplit('.').next().unwrap_or_default();
                    let at = wait.held_at.as_ref().map(place_text).unwrap_or_default();
                    write!(text, "{between}{who} waits for {ty} {} held by {other}{at}", wait.address)
                }
                None => match self.graph.between.thread(*i).and_then(|t| t.waits_for.as_ref()) {
                    Some(wait) => {
                        let queued = wait.of.as_ref().and_then(|of| self.graph.between.find(of.address));
                        let queued = queued.is_some_and(|job| self.graph.between.queued.contains(&job));
                        let how = if queued { "whose job is queued for" } else { "for" };
                        write!(text, "{between}{who} waits for {} {}, {how} {other}", wait.what, wait.address)
                    }
                    None if self.graph.between.thread(next).is_some() => {
                        write!(text, "{between}{who} waits for {other}")
                    }
                    None => write!(text, "{between}{who} awaits {other}"),
                },
            };
        }
        if told.len() > MAX_NAMED {
            let _ = write!(text, "; and {} more", told.len() - MAX_NAMED);
        }
        text
    }

    fn is_task(&self, i: u32) -> bool {
        self.world.nodes.get(i as usize).is_some_and(|n| n.task)
    }

    fn who(&self, i: u32) -> String {
        if let Some(thread) = self.graph.between.thread(i) {
            return format!("thread {}", thread.name.as_deref().unwrap_or("unnamed"));
        }
        match self.world.nodes.get(i as usize) {
            Some(node) => self.name(node).unwrap_or_else(|| node.address.to_string()),
            None => "?".to_owned(),
        }
    }

    /// The next task or thread of a cycle after one, through futures.
    fn next_in(&self, cycle: &Cycle, i: u32) -> Option<u32> {
        const MAX_STEPS: usize = 1000;
        let number = self.graph.cycle_of.get(&i)?;
        let mut work: Vec<u32> = self.graph.awaits.of(i as usize).iter().rev().copied().collect();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..MAX_STEPS.max(cycle.members.len()) {
            let j = work.pop()?;
            if self.graph.cycle_of.get(&j) != Some(number) || !seen.insert(j) {
                continue;
            }
            if self.is_task(j) || self.graph.between.thread(j).is_some() {
                return Some(j);
            }
            work.extend(self.graph.awaits.of(j as usize).iter().rev());
        }
        None
    }

    /// The first lines of the forest.
    pub fn rows(&mut self, forest: &Forest, count: usize, brief: bool) -> Vec<TreeRow> {
        let mut rows = Vec::new();
        for line in forest.lines.iter().take(count) {
            let Some(node) = self.world.nodes.get(line.node as usize).copied() else { continue };
            let crowd = line.crowd.and_then(|c| forest.crowds.get(c as usize));
            let of = |i: &u32| self.world.nodes.get(*i as usize).map(|n| n.address);
            let all = crowd.map_or(std::slice::from_ref(&line.node), Vec::as_slice);
            let retained = self.retaining.and_then(|r| r.sum(&all.iter().filter_map(of).collect::<Vec<_>>()));
            let tasks = crowd.filter(|_| !brief).into_iter().flatten().filter_map(of).collect();
            rows.push(TreeRow {
                retained_bytes: retained.filter(|_| !line.shared),
                address: node.address,
                count: all.len() as u64,
                tasks,
                depth: line.depth.into(),
                shared: line.shared,
                cycle: self.graph.cycle_of.get(&line.node).copied(),
                state: node.state.name(),
                label: self.label(line.node, &node),
            });
        }
        rows
    }

    /// Name, coroutine, place, what it waits in.
    fn label(&mut self, i: u32, node: &Node) -> [String; 4] {
        let place = self.innermost(node).map(|f| {
            let file = f.file.rsplit('/').next().unwrap_or(&f.file);
            format!("{}() {file}{}", f.function, f.line_and_column())
        });
        let waits = match (node.running, self.waits_in(i)) {
            (true, _) => "running".to_owned(),
            (_, Some(wait)) => wait.about() + &self.times_out(i),
            (_, None) if !node.is_pending() => node.state.name().unwrap_or("damaged").to_owned(),
            (_, None) if node.fut_waiter == super::world::NONE => "about to run".to_owned(),
            (_, None) => self.times_out(i).trim_start_matches(", ").to_owned(),
        };
        let text = |t: Option<String>| t.unwrap_or_else(|| "?".to_owned());
        [text(self.name(node)), text(self.coro(node)), place.unwrap_or_default(), waits]
    }

    pub fn innermost(&mut self, node: &Node) -> Option<crate::analysis::answers::Frame> {
        let mut last = None;
        if !node.coroutine.is_null() {
            self.world.read.chain(node.coroutine, Addr::NULL, &mut |generator, step| {
                last = step.frame.map(|f| crate::cpython::StackFrame { generator: Some(generator), ..f }).or(last);
            });
        }
        last.map(|frame| self.frames.frame(&frame, false))
    }

    /// Groups of several, the largest first.
    pub fn groups(&mut self, places: &Places) -> Vec<Group> {
        let mut large: Vec<&Vec<u32>> = places.groups.iter().filter(|tasks| tasks.len() > 1).collect();
        large.sort_by_key(|tasks| (std::cmp::Reverse(tasks.len()), tasks.first().copied()));
        let mut groups = Vec::new();
        for tasks in large.into_iter().take(MAX_GROUPS) {
            let first = tasks.first().and_then(|i| Some((*i, *self.world.nodes.get(*i as usize)?)));
            let Some((i, node)) = first else { continue };
            let place = self.innermost(&node);
            let kind = self.graph.wait(&self.world.nodes, i as usize).kind;
            groups.push(Group {
                count: tasks.len() as u64,
                coro: self.coro(&node).unwrap_or_default(),
                place: place.map(|f| Place { function: f.function, file: f.file, line: f.line }),
                waits_in: Some(kind.name()).filter(|name| !name.is_empty()),
                tasks: tasks.iter().filter_map(|i| self.world.nodes.get(*i as usize)).map(|n| n.address).collect(),
            });
        }
        groups
    }
}

fn place_text(at: &Place) -> String {
    let line = at.line.map(|n| format!(":{n}")).unwrap_or_default();
    format!(" at {}{line}", at.file.rsplit('/').next().unwrap_or_default())
}
