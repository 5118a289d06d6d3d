//! What must hold, and the ways in which it can be broken.

/// A guarantee (G) or a rule (R) of the design. The model checks it in every state under this name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[expect(missing_docs, reason = "each is described by `Law::name`")]
pub enum Law {
    G1,
    G2,
    G3,
    G4,
    G5,
    G6,
    G7,
    G9,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    R8,
    R9,
    R10,
    R11,
    R12,
    R13,
    R14,
    R15,
    R16,
    Machine,
}

impl Law {
    /// All of them.
    pub const ALL: [Self; 25] = [
        Self::G1,
        Self::G2,
        Self::G3,
        Self::G4,
        Self::G5,
        Self::G6,
        Self::G7,
        Self::G9,
        Self::R1,
        Self::R2,
        Self::R3,
        Self::R4,
        Self::R5,
        Self::R6,
        Self::R7,
        Self::R8,
        Self::R9,
        Self::R10,
        Self::R11,
        Self::R12,
        Self::R13,
        Self::R14,
        Self::R15,
        Self::R16,
        Self::Machine,
    ];

    /// Its name in the design, and what it says.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::G1 => "G1 nothing lost",
            Self::G2 => "G2 nothing twice",
            Self::G3 => "G3 no rollback",
            Self::G4 => "G4 no forgery",
            Self::G5 => "G5 no early 200",
            Self::G6 => "G6 always ends",
            Self::G7 => "G7 polite",
            Self::G9 => "G9 resumable",
            Self::R1 => "R1 fence",
            Self::R2 => "R2 evidence policy",
            Self::R3 => "R3 demand",
            Self::R4 => "R4 digests never silence",
            Self::R5 => "R5 what is a revision",
            Self::R6 => "R6 one hand-over at a time",
            Self::R7 => "R7 the deadline bounds the first settling verdict",
            Self::R8 => "R8 settled sessions last",
            Self::R9 => "R9 signals are not states",
            Self::R10 => "R10 records drive",
            Self::R11 => "R11 restore",
            Self::R12 => "R12 deadline and grace",
            Self::R13 => "R13 fair budget",
            Self::R14 => "R14 tokens",
            Self::R15 => "R15 unknown ids",
            Self::R16 => "R16 wrong signatures",
            Self::Machine => "the laws of a machine",
        }
    }
}

/// One way in which a law was broken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Breach {
    /// The law.
    pub law: Law,
    /// What happened.
    pub what: &'static str,
}
