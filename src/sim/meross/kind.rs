//! The members of the family: what each model calls itself, what it can do and where its firmware is peculiar.
//!
//! Data only; `ability` has the lists. What a capture shows is written as captured; what is derived from neighbours says so.

use super::ability;

/// How a model speaks of its relays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relays {
    /// `Toggle`, one relay without a channel (hardware 1).
    Toggle,
    /// `ToggleX`, and one object when its state is asked.
    One,
    /// `ToggleX`, and a list when its state is asked.
    List,
    /// None: a meter.
    None,
}

/// What a model measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measures {
    /// Nothing.
    Nothing,
    /// The power of its one outlet: `voltageRatio`, `electricityRatio` and `maxElectricityCurrent`, as far as told.
    Outlet(Option<(u16, u16, Option<u32>)>),
    /// Several circuits, told by `ElectricityX`.
    Circuits,
}

/// The head of its HTTP replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Head {
    /// Server, date, pragma, type and connection (MT76xx).
    Long,
    /// Type and connection (RTL87xx).
    Short,
    /// The same with bare line feeds.
    LineFeeds,
}

/// What becomes of a reply that is too long for a model's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLong {
    /// The connection is closed.
    Closes,
    /// It is cut in the middle.
    Cuts,
    /// The plug restarts and its relays fall off.
    Reboots,
}

/// One model with one firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Its type, as `mss310`.
    pub name: &'static str,
    /// Its market.
    pub sub_type: &'static str,
    /// Version of its hardware.
    pub hardware: &'static str,
    /// Its processor.
    pub chip: &'static str,
    /// Version of its firmware.
    pub firmware: &'static str,
    /// When that was built, as it writes it.
    pub compiled: &'static str,
    /// What it can do, without `Appliance.` before it, in the order in which it tells it.
    pub ability: &'static [&'static str],
    /// Commands in one `Control.Multiple`.
    pub max_commands: u64,
    /// Outlets; a strip counts its USB ports as one.
    pub outlets: usize,
    /// How it speaks of its relays.
    pub relays: Relays,
    /// What it measures.
    pub measures: Measures,
    /// The head of its HTTP replies.
    pub head: Head,
    /// What becomes of replies that are too long.
    pub too_long: TooLong,
    /// `firmware.encrypt`, `homekitVersion`, `bindId`, `triggerSrc` and the like are told.
    pub modern: bool,
    /// A request that changes something needs `triggerSrc`; without, it is acknowledged and not carried out.
    pub wants_source: bool,
    /// It measures nothing while its time zone is empty.
    pub needs_zone: bool,
    /// It goes on telling the old power for some seconds after it was switched.
    pub lingers: bool,
    /// It leaves its broker when its `ConsumptionConfig` does not come back.
    pub wants_echo: bool,
    /// It answers the search by datagram; of encrypting models nobody has seen it.
    pub answers_search: bool,
    /// A Refoss product: another id in the search, and `/public` beside `/config`.
    pub refoss: bool,
}

impl Kind {
    /// MSS110, hardware 7, firmware 7.3.37: encrypts. Captured.
    pub const MSS110: Self = Self {
        name: "mss110",
        sub_type: "un",
        hardware: "7.0.0",
        chip: "rtl8710cm",
        firmware: "7.3.37",
        compiled: "2024/04/12-19:13:08",
        ability: ability::ENCRYPTING,
        max_commands: 3,
        outlets: 1,
        relays: Relays::List,
        measures: Measures::Nothing,
        head: Head::Short,
        too_long: TooLong::Cuts,
        modern: true,
        wants_source: false,
        needs_zone: false,
        lingers: false,
        wants_echo: false,
        answers_search: false,
        refoss: false,
    };

    /// The same with firmware 7.3.46, which heeds no command without `triggerSrc`. Derived from 7.3.37.
    pub const MSS110_7_3_46: Self =
        Self { firmware: "7.3.46", compiled: "2025/06/20-10:21:34", wants_source: true, ..Self::MSS110 };

    /// MSS210, hardware 1: one relay in the old dialect, in the clear. Captured.
    pub const MSS210: Self = Self {
        name: "mss210",
        sub_type: "us",
        hardware: "1.0.0",
        chip: "MT7688",
        firmware: "1.1.12",
        compiled: "2018-12-17 11:01:45",
        ability: ability::OLD,
        max_commands: 0,
        relays: Relays::Toggle,
        head: Head::Long,
        too_long: TooLong::Closes,
        modern: false,
        answers_search: true,
        ..Self::MSS110
    };

    /// MSS210 with firmware 7.3.9, which encrypts. Derived from the MSS110.
    pub const MSS210_7_3_9: Self =
        Self { name: "mss210", firmware: "7.3.9", compiled: "2024/09/03-15:40:12", ..Self::MSS110 };

    /// MSS310, hardware 1: relay and meter in the old dialect. Captured.
    pub const MSS310_HW1: Self = Self {
        name: "mss310",
        firmware: "1.1.18",
        compiled: "2018-12-03 11:15:36",
        ability: ability::OLD_METERED,
        measures: Measures::Outlet(None),
        ..Self::MSS210
    };

    /// MSS310, hardware 2. Captured.
    pub const MSS310_HW2: Self = Self {
        name: "mss310",
        sub_type: "us",
        hardware: "2.0.0",
        chip: "MT7682",
        firmware: "2.1.17",
        compiled: "2022/08/19 10:05:03 GMT +08:00",
        ability: ability::METERED,
        max_commands: 5,
        relays: Relays::One,
        measures: Measures::Outlet(Some((186, 121, None))),
        ..Self::MSS210
    };

    /// MSS310, hardware 6: in the clear, and without a time zone it measures nothing. System.All captured, the
    /// ability derived from hardware 2.
    pub const MSS310_HW6: Self = Self {
        sub_type: "un",
        hardware: "6.0.0",
        chip: "rtl8710cf",
        firmware: "6.3.21",
        compiled: "2022/11/28-16:01:52",
        ability: ability::METERED_6,
        max_commands: 3,
        relays: Relays::List,
        measures: Measures::Outlet(Some((188, 100, Some(11_000)))),
        head: Head::Short,
        too_long: TooLong::Cuts,
        modern: true,
        needs_zone: true,
        ..Self::MSS310_HW2
    };

    /// MSS310R, hardware 2. Captured.
    pub const MSS310R: Self = Self {
        name: "mss310r",
        sub_type: "un",
        chip: "mt7682",
        firmware: "2.1.4",
        compiled: "2019/11/27 11:48:08 GMT +08:00",
        measures: Measures::Outlet(Some((188, 100, None))),
        lingers: true,
        ..Self::MSS310_HW2
    };

    /// MSS305, hardware 8: in the clear, with hours, and with no patience for packed requests. Captured.
    pub const MSS305: Self = Self {
        name: "mss305",
        sub_type: "un",
        hardware: "8.0.0",
        chip: "rtl8720cf",
        firmware: "8.3.15",
        compiled: "2025/01/02-16:34:01",
        ability: ability::HOURLY,
        measures: Measures::Outlet(Some((188, 101, Some(14_000)))),
        too_long: TooLong::Reboots,
        answers_search: true,
        ..Self::MSS110
    };

    /// MSS315, hardware 9: encrypts, and leaves a broker that does not echo its `ConsumptionConfig`. Derived from the
    /// MSS305 and reports.
    pub const MSS315: Self = Self {
        name: "mss315",
        hardware: "9.0.0",
        chip: "rtl8720cm",
        firmware: "9.3.26",
        compiled: "2024/12/18-11:02:40",
        ability: ability::HOURLY_ENCRYPTING,
        head: Head::LineFeeds,
        too_long: TooLong::Cuts,
        wants_echo: true,
        answers_search: false,
        ..Self::MSS305
    };

    /// MSS425E, a strip of three outlets and USB. Captured.
    pub const MSS425E: Self = Self {
        name: "mss425e",
        sub_type: "eu",
        chip: "mt7682",
        firmware: "2.1.2",
        compiled: "2018/08/13 10:42:53 GMT +08:00",
        ability: ability::STRIP,
        outlets: 4,
        measures: Measures::Nothing,
        ..Self::MSS310_HW2
    };

    /// MSS425F, a strip of four outlets and USB. Derived from the MSS425E.
    pub const MSS425F: Self = Self {
        name: "mss425f",
        sub_type: "us",
        firmware: "2.1.14",
        compiled: "2019/06/24 17:48:27 GMT +08:00",
        outlets: 5,
        ..Self::MSS425E
    };

    /// EM06, a Refoss meter of six circuits. Ability captured, `ElectricityX` as a client reads it.
    pub const EM06: Self = Self {
        name: "em06",
        sub_type: "eu",
        hardware: "2.0.0",
        chip: "esp32-c3",
        firmware: "2.3.8",
        compiled: "May 14 2024 -- 15:59:34",
        ability: ability::CIRCUITS,
        outlets: 6,
        relays: Relays::None,
        measures: Measures::Circuits,
        answers_search: true,
        refoss: true,
        ..Self::MSS110
    };

    /// All of them.
    pub const ALL: [&Self; 13] = [
        &Self::MSS110,
        &Self::MSS110_7_3_46,
        &Self::MSS210,
        &Self::MSS210_7_3_9,
        &Self::MSS310_HW1,
        &Self::MSS310_HW2,
        &Self::MSS310_HW6,
        &Self::MSS310R,
        &Self::MSS305,
        &Self::MSS315,
        &Self::MSS425E,
        &Self::MSS425F,
        &Self::EM06,
    ];

    /// Whether what is said to it over the LAN must be encrypted.
    pub fn encrypts(&self) -> bool {
        self.ability.contains(&"Encrypt.ECDHE")
    }

    /// Whether channel 0 stands for all outlets.
    pub fn has_master(&self) -> bool {
        self.outlets > 1 && matches!(self.relays, Relays::One | Relays::List)
    }

    /// Whether its firmware belongs to hardware 1.
    pub fn is_old(&self) -> bool {
        self.relays == Relays::Toggle
    }
}
