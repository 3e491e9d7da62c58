//! What the kernel knows of a process: `/proc`, see proc(5).

use std::{fs, io};

use crate::number::float;

/// CPU time that process `pid` has used, user and system, in microseconds.
pub(crate) fn cpu_us(pid: u32) -> io::Result<u64> {
    Ok(Stat::read(pid)?.own_us)
}

/// CPU time of `pid` and its children, those that have ended included.
pub(crate) fn cpu_us_of_family(pid: u32) -> io::Result<u64> {
    loop {
        let parent = Stat::read(pid)?;
        let living = cpu_us_of_children(pid)?;
        // A child that ended meanwhile was counted twice or not at all.
        if Stat::read(pid)?.ended_us == parent.ended_us {
            return Ok(parent.own_us.saturating_add(parent.ended_us).saturating_add(living));
        }
    }
}

fn cpu_us_of_children(pid: u32) -> io::Result<u64> {
    let mut sum = 0_u64;
    for entry in fs::read_dir("/proc")? {
        let Some(child) = entry?.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end between the listing and the look at it.
        if let Ok(stat) = Stat::read(child)
            && stat.parent == pid
        {
            sum = sum.saturating_add(stat.own_us);
        }
    }
    Ok(sum)
}

/// The resident set of process `pid` in kB.
pub(crate) fn resident_kb(pid: u32) -> io::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok())
        .ok_or_else(|| io::Error::other("no VmRSS"))
}

/// What the machine's processors have done up to now, in ticks of all of them.
pub(crate) struct Processors {
    idle: u64,
    all: u64,
}

impl Processors {
    pub(crate) fn look() -> io::Result<Self> {
        let text = fs::read_to_string("/proc/stat")?;
        Self::parse(&text).ok_or_else(|| io::Error::other("an unknown form of stat"))
    }

    /// User, nice, system, idle, waiting for disks, interrupts, soft ones, and what the hypervisor took; what guests did is
    /// in the first two.
    fn parse(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> = line.split_whitespace().take(8).flat_map(str::parse).collect();
        let idle = ticks.get(3)?.saturating_add(*ticks.get(4)?);
        Some(Self { idle, all: ticks.iter().sum() })
    }

    /// The share that nobody used since `before`.
    pub(crate) fn idle_since(&self, before: &Self) -> f64 {
        let all = float(self.all.saturating_sub(before.all)).max(1.0);
        float(self.idle.saturating_sub(before.idle)) / all
    }
}

struct Stat {
    parent: u32,
    own_us: u64,
    ended_us: u64,
}

impl Stat {
    fn read(pid: u32) -> io::Result<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let tick = 1_000_000 / rustix::param::clock_ticks_per_second().max(1);
        Self::parse(&text, tick).ok_or_else(|| io::Error::other("an unknown form of stat"))
    }

    /// The name in field 2 may hold anything, so fields are counted behind its last parenthesis.
    fn parse(text: &str, tick_us: u64) -> Option<Self> {
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let field = |number: usize| fields.get(number.checked_sub(3)?)?.parse::<u64>().ok();
        let sum = |a, b| Some(field(a)?.saturating_add(field(b)?).saturating_mul(tick_us));
        Some(Self {
            parent: u32::try_from(field(4)?).ok()?,
            own_us: sum(14, 15)?,
            ended_us: sum(16, 17)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_does_not_shift_the_fields() {
        let text = "7 (a) b) S 3 7 7 0 -1 4194560 1 2 3 4 100 20 30 4 20 0";
        let stat = Stat::parse(text, 10_000).unwrap();
        assert_eq!((stat.parent, stat.own_us, stat.ended_us), (3, 1_200_000, 340_000));
    }

    #[test]
    fn waiting_for_a_disk_is_idle_and_guests_are_counted_once() {
        let before = Processors::parse("cpu  100 0 100 500 100 0 0 0 50 0\ncpu0 1").unwrap();
        let now = Processors::parse("cpu  150 0 150 600 200 0 0 100 90 0\ncpu0 1").unwrap();
        assert_eq!((before.all, before.idle), (800, 600));
        assert_eq!(now.idle_since(&before), 0.5);
    }

    #[test]
    fn this_process_has_memory_and_time() {
        let pid = std::process::id();
        assert!(resident_kb(pid).unwrap() > 100);
        let own = cpu_us(pid).unwrap();
        assert!(cpu_us_of_family(pid).unwrap() >= own);
    }
}
