//! Single questions beyond reading and switching, over a line to one plug, where the errands of
//! [`errand`](crate::capability) are more than is wanted. A plug that does not know what is asked, or says no, is a
//! [`Failure::Rejected`] with the reason.

use super::line::Line;
use crate::model::{
    CapabilityReply, CapabilityRequest, Clock, DeviceRequest, DeviceResponse, Failure, Hardware, Name,
    UNKNOWN_SKILL,
};

impl Line {
    /// Asks about a skill.
    ///
    /// # Errors
    ///
    /// See [`Failure`]; here and below [`Failure::Rejected`] when the plug cannot or will not.
    pub async fn skill(&mut self, skill: CapabilityRequest) -> Result<CapabilityReply, Failure> {
        match self.ask(&DeviceRequest::CapabilityRequest(skill)).await? {
            DeviceResponse::CapabilityRequest(told) => Ok(told),
            DeviceResponse::Refused(why) => Err(Failure::Rejected(why)),
            DeviceResponse::Unsupported => Err(Failure::Rejected(UNKNOWN_SKILL.into())),
            DeviceResponse::Reading(_) | DeviceResponse::Identity(_) | DeviceResponse::History(_) => {
                Err(mixed_up())
            }
        }
    }

    /// Gives the plug (port 0) or a port a name. Brings back the name it tells afterwards; `None` when
    /// it took the name and tells none.
    ///
    /// # Errors
    ///
    /// See [`Line::skill`].
    pub async fn rename(&mut self, port: u8, name: Name) -> Result<Option<Name>, Failure> {
        let CapabilityReply::Name(name) = self.skill(CapabilityRequest::Rename { port, name }).await? else {
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
        let CapabilityReply::Clock(Some(clock)) = self.skill(CapabilityRequest::Clock).await? else {
            return Err(mixed_up());
        };
        Ok(clock)
    }

    /// The numbers of the plug's hardware.
    ///
    /// # Errors
    ///
    /// See [`Line::skill`].
    pub async fn hardware(&mut self) -> Result<Hardware, Failure> {
        let CapabilityReply::Hardware(hardware) = self.skill(CapabilityRequest::Hardware).await? else {
            return Err(mixed_up());
        };
        Ok(hardware)
    }

    /// Sends any command but those that reset or re-home a plug; brings back JSON, credentials masked.
    ///
    /// # Errors
    ///
    /// See [`Line::skill`].
    pub async fn call(&mut self, command: u16, arguments: Option<String>) -> Result<String, Failure> {
        let told = self.skill(CapabilityRequest::Call { command, arguments }).await?;
        let CapabilityReply::Raw(reply) = told else { return Err(mixed_up()) };
        Ok(reply)
    }
}

fn mixed_up() -> Failure {
    Failure::InvalidResponse("an answer to something else".into())
}
