//! What is wished laid over what is: the rule, the group and the random switching that result.

use super::Guard;
use crate::model::{
    Days, LeaderGroup, LeaderWish, Lock, Moment, PerPort, PlugRequest, Presence, PresenceSimulationWish,
    Role, Rule, RuleChange, RuleContent, RuleWish,
};

pub(super) const INCOMPLETE: &str =
    "a rule needs ports (on, off), a time (at 22:10), and days (Mon-Fri) or a date (2026-12-24)";

impl PlugRequest {
    /// It changes something at the plug, or may.
    pub fn changes(&self) -> bool {
        match self {
            Self::Clock { set } => *set,
            Self::Countdown { minutes, .. } => minutes.is_some(),
            Self::Schedule(wish) => wish.is_some(),
            Self::History { .. } => false,
            Self::Price(wish) => wish.is_some(),
            Self::Leader(wish) => wish.is_some(),
            Self::PresenceSimulation(wish) => wish.is_some(),
            Self::Call { .. } | Self::Rename { .. } => true,
        }
    }

    /// The word for it, in requests.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Clock { .. } => "clock",
            Self::Countdown { .. } => "countdown",
            Self::Schedule(_) => "schedule",
            Self::History { .. } => "history",
            Self::Price(_) => "price",
            Self::Leader(_) => "leader",
            Self::PresenceSimulation(_) => "presence_simulation",
            Self::Call { .. } => "call",
            Self::Rename { port: 0, .. } => "device_rename",
            Self::Rename { .. } => "port_rename",
        }
    }

    /// The ports it names.
    pub(super) fn ports(&self) -> Vec<u8> {
        let of = |content: &RuleContent| content.on.iter().chain(&content.off).copied().collect();
        match self {
            Self::Countdown { port, .. } | Self::History { port, .. } => port.iter().copied().collect(),
            Self::Schedule(Some(RuleWish::Add(content) | RuleWish::Change(_, content))) => of(content),
            Self::Leader(Some(wish)) => {
                wish.leader.flatten().into_iter().chain(wish.followers.clone()).collect()
            }
            Self::PresenceSimulation(Some(wish)) => wish.ports.clone(),
            Self::Rename { port, .. } => Some(*port).filter(|port| *port > 0).into_iter().collect(),
            Self::Schedule(_) | Self::Leader(None) | Self::PresenceSimulation(None) => Vec::new(),
            Self::Clock { .. } | Self::Price(_) | Self::Call { .. } => Vec::new(),
        }
    }
}

impl RuleContent {
    /// It says all that a new rule needs.
    pub(super) fn is_whole(&self) -> bool {
        let ports = !self.on.is_empty() || !self.off.is_empty();
        ports && self.at.is_some() && (self.days.is_some() || self.date.is_some())
    }
}

/// The change that makes these rules what is wished.
pub(super) fn rule_change(
    wish: &RuleWish,
    rules: &[Rule],
    guard: &Guard,
    now: &Moment,
) -> Result<RuleChange, String> {
    let known = |id: i64| {
        let numbers: Vec<String> = rules.iter().map(|rule| rule.id.to_string()).collect();
        let there = if numbers.is_empty() { "none".into() } else { numbers.join(", ") };
        let rule = rules.iter().find(|rule| rule.id == id);
        rule.cloned().ok_or_else(|| format!("it has no rule {id}; there is {there}"))
    };
    let (rule, change): (Rule, fn(Rule) -> RuleChange) = match wish {
        RuleWish::Delete(id) => return Ok(RuleChange::Delete(known(*id)?.id)),
        RuleWish::Add(content) => {
            let ports = vec![None; guard.ports.into()];
            let empty = Rule { id: 0, enabled: true, ports, days: Days::default(), minute: 0, once: None };
            (filled(empty, content, now)?, RuleChange::Add)
        }
        RuleWish::Change(id, content) => (filled(known(*id)?, content, now)?, RuleChange::Change),
    };
    let wishes = (1..).zip(&rule.ports).filter_map(|(port, wish)| wish.map(|on| (port, on)));
    let locked = wishes.filter(|(port, on)| rule.enabled && guard.lock(*port).refuses(*on));
    let locked: Vec<String> =
        locked.map(|(port, on)| format!("port {port} {}", if on { "on" } else { "off" })).collect();
    if !locked.is_empty() {
        let locked = locked.join(", ");
        return Err(format!(
            "the rule would switch {locked} at {}, which is locked; unlock or leave out each of them",
            guard.who
        ));
    }
    Ok(change(rule))
}

/// The rule that results; one that comes once must still come.
fn filled(rule: Rule, content: &RuleContent, now: &Moment) -> Result<Rule, String> {
    let rule = laid_over(rule, content, now)?;
    let timed = content.at.is_some() || content.enabled == Some(true);
    let comes = rule.comes(now).filter(|_| content.date.is_some() || rule.enabled && timed);
    match comes.filter(|comes| *comes <= now.local()) {
        Some(past) => Err(format!(
            "{} is past, it is {} here; give a date and time to come, or days",
            past.strftime("%Y-%m-%d %H:%M"),
            now.local().strftime("%Y-%m-%d %H:%M")
        )),
        None => Ok(rule),
    }
}

fn laid_over(mut rule: Rule, content: &RuleContent, now: &Moment) -> Result<Rule, String> {
    if !content.on.is_empty() || !content.off.is_empty() {
        rule.ports.fill(None);
    }
    for (ports, on) in [(&content.on, true), (&content.off, false)] {
        for port in ports {
            match rule.ports.port_mut(*port) {
                Some(wish @ None) => *wish = Some(on),
                _ => return Err(format!("port {port} is named twice in one rule")),
            }
        }
    }
    let before = rule.comes(now).filter(|_| content.days.is_none());
    rule.minute = content.at.unwrap_or(rule.minute);
    rule.enabled = content.enabled.unwrap_or(rule.enabled);
    if let Some(days) = content.days {
        (rule.days, rule.once) = (days, None);
    }
    // Another time on the same day, or another day at the same time; else it is left as it is.
    let date = content.date.or_else(|| content.at.and(before).map(|before| before.date()));
    let Some(date) = date else { return Ok(rule) };
    let minute = content.at.or(before.map(super::minute)).unwrap_or(rule.minute);
    let clock = |number: u16| i8::try_from(number).unwrap_or_default();
    let time = date.at(clock(minute / 60), clock(minute % 60), 0, 0);
    rule.at(time, now).ok_or_else(|| "that day cannot be written".into())
}

/// The group that results.
pub(super) fn group(wish: &LeaderWish, mut is: LeaderGroup, guard: &Guard) -> Result<LeaderGroup, String> {
    let mut before = is.followers();
    if before.is_empty() {
        before.clone_from(&guard.followed);
    }
    match wish.leader {
        None if wish.followers.is_empty() => {}
        None => return Err("name the leader along with the followers".into()),
        Some(None) => is.roles.fill(Role::Neutral),
        Some(Some(leader)) => {
            let followers = if wish.followers.is_empty() { before } else { wish.followers.clone() };
            let followers: Vec<u8> = followers.into_iter().filter(|port| *port != leader).collect();
            if followers.is_empty() {
                return Err("a leader needs ports that follow: name the followers".into());
            }
            for port in &followers {
                guard.may(*port, true).and(guard.may(*port, false))?;
            }
            for (port, role) in (1u8..).zip(&mut is.roles) {
                *role = match port {
                    port if port == leader => Role::Leader,
                    port if followers.contains(&port) => Role::Follower,
                    _ => Role::Neutral,
                };
            }
        }
    }
    is.limit_w = wish.limit_w.or(is.limit_w).or(Some(LeaderGroup::LIMITS[0]));
    Ok(is)
}

/// The random switching that results.
pub(super) fn presence(
    wish: &PresenceSimulationWish,
    mut is: Presence,
    guard: &Guard,
) -> Result<Presence, String> {
    if !wish.ports.is_empty() {
        is.ports = (1..=guard.ports).map(|port| wish.ports.contains(&port)).collect();
    }
    is.enabled = wish.enabled.unwrap_or(is.enabled);
    is.days = wish.days.unwrap_or(is.days);
    is.from = wish.from.unwrap_or(is.from);
    is.to = wish.to.unwrap_or(is.to);
    if !is.enabled {
        return Ok(is);
    }
    if is.days.is_empty() || !is.ports.contains(&true) {
        return Err("random switching needs days (daily), from (18:30), to (23:00) and ports (1, 2)".into());
    }
    for (port, _) in (1..).zip(&is.ports).filter(|(_, takes_part)| **takes_part) {
        if guard.lock(port) != Lock::None {
            return Err(format!("port {port} of {} is locked; unlock it first", guard.who));
        }
    }
    Ok(is)
}
