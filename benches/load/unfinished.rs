//! What is not finished when it is answered: followed by the gateway, waited for by its
//! callers. Each is measured at a gateway and a stand-in of its own.

use std::io::{Error, Write};

use crate::configuration::Configuration;
use crate::follow::Followed;
use crate::generator::Generator;
use crate::standin::{StandIn, Tokens};
use crate::token::Signer;
use crate::waiting::{self, Waited};
use crate::workplace::Workplace;
use crate::{HOUR, Plan};

pub struct Unfinished {
    followed: Followed,
    waited: Waited,
}

impl Unfinished {
    pub fn measure(
        place: &Workplace,
        generator: &Generator,
        signer: &Signer,
        plan: Plan,
    ) -> Result<Self, Error> {
        let tokens = Tokens {
            live: HOUR,
            held: false,
        };
        let standin = || StandIn::start(&signer.key_set(), tokens);
        let followed = {
            let vendor = standin()?;
            let poll = plan.following.poll.as_secs();
            let configuration = Configuration {
                poll_seconds: u32::try_from(poll).map_err(Error::other)?,
                ..Configuration::new("following", "full", 2)
            };
            let gateway = place.gateway(&configuration, vendor.address())?;
            Followed::measure(generator, &gateway.server, &vendor, plan.following)?
        };
        let waited = {
            let vendor = standin()?;
            let configuration = Configuration {
                poll_seconds: waiting::POLL,
                max_wait_seconds: Some(waiting::LONGEST.as_secs()),
                ..Configuration::new("waiting", "full", 2)
            };
            let gateway = place.gateway(&configuration, vendor.address())?;
            Waited::measure(generator, &gateway.server, &vendor, plan.waiting)?
        };
        Ok(Self { followed, waited })
    }

    pub fn print(&self, out: &mut impl Write) -> Result<(), Error> {
        self.followed.print(out)?;
        self.waited.print(out)
    }

    pub fn aims(&self, out: &mut impl Write) -> Result<(), Error> {
        self.followed.aims(out)?;
        self.waited.aims(out)
    }

    /// Where nothing else was measured.
    pub fn print_alone(&self) -> Result<(), Error> {
        let mut out = std::io::stdout().lock();
        self.print(&mut out)?;
        self.aims(&mut out)
    }
}
