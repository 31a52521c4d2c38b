//! What some plugs can do beyond reading and switching, over a line to one plug. A plug that does not
//! know what is asked, or says no, is a [`Failure::Rejected`] with the reason.

use super::line::Line;
use crate::model::{
    Answer, Ask, Clock, Failure, Hardware, LeaderGroup, Name, Presence, Price, Rule, RuleChange, Skill,
    Timer, Told, UNKNOWN_SKILL,
};

impl Line {
    /// Asks about a skill.
    ///
    /// # Errors
    ///
    /// See [`Failure`]; here and below [`Failure::Rejected`] when the plug cannot or will not.
    pub async fn skill(&mut self, skill: Skill) -> Result<Told, Failure> {
        match self.ask(&Ask::Skill(skill)).await? {
            Answer::Skill(told) => Ok(told),
            Answer::Refused(why) => Err(Failure::Rejected(why)),
            Answer::Unsupported => Err(Failure::Rejected(UNKNOWN_SKILL.into())),
            Answer::Reading(_) | Answer::Identity(_) | Answer::History(_) => Err(mixed_up()),
        }
    }

    /// Gives the plug (port 0) or a port a name. Brings back the name it tells afterwards; `None` when
    /// it took the name and tells none.
    ///
    /// # Errors
    ///
    /// See [`Line::skill`].
    pub async fn rename(&mut self, port: u8, name: Name) -> Result<Option<Name>, Failure> {
        let Told::Name(name) = self.skill(Skill::Rename { port, name }).await? else {
            return Err(mixed_up());
        };
        Ok(name)
    }

    /// The plug's clock.
    ///
    /// # Errors
    ///
    /// See [`Line::skill`].
    pub async fn clock(&mut self) -> Result<Clock, Failure> {
        let Told::Clock(Some(clock)) = self.skill(Skill::Clock).await? else { return Err(mixed_up()) };
        Ok(clock)
    }

    /// Sets the plug's clock to local time; brings it back if it can be read.
    ///
    /// # Errors
    ///
    /// See [`Line::skill`].
    pub async fn set_clock(&mut self) -> Result<Option<Clock>, Failure> {
        let Told::Clock(clock) = self.skill(Skill::SetClock).await? else { return Err(mixed_up()) };
        Ok(clock)
    }

    /// The countdown that runs for a port.
    ///
    /// # Errors
    ///
    /// See [`Line::skill`].
    pub async fn countdown(&mut self, port: u8) -> Result<Option<Timer>, Failure> {
        let Told::Timer(timer) = self.skill(Skill::Timer(port)).await? else { return Err(mixed_up()) };
        Ok(timer)
    }

    /// Lets a port go off after some minutes, counted by the plug; 0 cancels.
    ///
    /// # Errors
    ///
    /// See [`Line::skill`].
    pub async fn set_countdown(&mut self, port: u8, minutes: u32) -> Result<Option<Timer>, Failure> {
        let told = self.skill(Skill::SetTimer { port, minutes }).await?;
        let Told::Timer(timer) = told else { return Err(mixed_up()) };
        Ok(timer)
    }

    /// The rules by which the plug switches by itself.
    ///
    /// # Errors
    ///
    /// See [`Line::skill`].
    pub async fn rules(&mut self) -> Result<Vec<Rule>, Failure> {
        let Told::Rules(rules) = self.skill(Skill::Rules).await? else { return Err(mixed_up()) };
        Ok(rules)
    }

    /// Changes the rules; brings all of them back.
    ///
    /// # Errors
    ///
    /// See [`Line::skill`].
    pub async fn change_rules(&mut self, change: RuleChange) -> Result<Vec<Rule>, Failure> {
        let Told::Rules(rules) = self.skill(Skill::ChangeRules(change)).await? else {
            return Err(mixed_up());
        };
        Ok(rules)
    }

    /// What the plug was told a kilowatt-hour costs.
    ///
    /// # Errors
    ///
    /// See [`Line::skill`].
    pub async fn price(&mut self) -> Result<Option<Price>, Failure> {
        let Told::Price(price) = self.skill(Skill::Price).await? else { return Err(mixed_up()) };
        Ok(price)
    }

    /// Tells the plug what a kilowatt-hour costs.
    ///
    /// # Errors
    ///
    /// See [`Line::skill`].
    pub async fn set_price(&mut self, price: Price) -> Result<Option<Price>, Failure> {
        let Told::Price(price) = self.skill(Skill::SetPrice(price)).await? else { return Err(mixed_up()) };
        Ok(price)
    }

    /// Which port leads which.
    ///
    /// # Errors
    ///
    /// See [`Line::skill`].
    pub async fn group(&mut self) -> Result<LeaderGroup, Failure> {
        let Told::Leader(group) = self.skill(Skill::Leader).await? else { return Err(mixed_up()) };
        Ok(group)
    }

    /// Sets which port leads which.
    ///
    /// # Errors
    ///
    /// See [`Line::skill`].
    pub async fn set_master(&mut self, group: LeaderGroup) -> Result<LeaderGroup, Failure> {
        let Told::Leader(group) = self.skill(Skill::SetLeader(group)).await? else {
            return Err(mixed_up());
        };
        Ok(group)
    }

    /// When the plug switches at random.
    ///
    /// # Errors
    ///
    /// See [`Line::skill`].
    pub async fn presence(&mut self) -> Result<Presence, Failure> {
        let Told::Presence(presence) = self.skill(Skill::Presence).await? else { return Err(mixed_up()) };
        Ok(presence)
    }

    /// Sets when the plug switches at random.
    ///
    /// # Errors
    ///
    /// See [`Line::skill`].
    pub async fn set_presence(&mut self, presence: Presence) -> Result<Presence, Failure> {
        let told = self.skill(Skill::SetPresence(presence)).await?;
        let Told::Presence(presence) = told else { return Err(mixed_up()) };
        Ok(presence)
    }

    /// The numbers of the plug's hardware.
    ///
    /// # Errors
    ///
    /// See [`Line::skill`].
    pub async fn hardware(&mut self) -> Result<Hardware, Failure> {
        let Told::Hardware(hardware) = self.skill(Skill::Hardware).await? else { return Err(mixed_up()) };
        Ok(hardware)
    }

    /// Sends any command but those that reset or re-home a plug; brings back JSON, credentials masked.
    ///
    /// # Errors
    ///
    /// See [`Line::skill`].
    pub async fn call(&mut self, command: u16, arguments: Option<String>) -> Result<String, Failure> {
        let told = self.skill(Skill::Call { command, arguments }).await?;
        let Told::Raw(reply) = told else { return Err(mixed_up()) };
        Ok(reply)
    }
}

fn mixed_up() -> Failure {
    Failure::InvalidResponse("an answer to something else".into())
}
