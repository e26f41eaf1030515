//! What a rule may find in a sentence. Some signals are events by themselves, others only count in context.

macro_rules! signals {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What a rule finds.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Signal {
            $($(#[$doc])* $variant,)*
        }

        impl Signal {
            const ALL: &'static [(&'static str, Self)] = &[$(($name, Self::$variant),)*];

            /// The names that `finds` may have.
            pub(crate) fn names() -> Vec<&'static str> {
                Self::ALL.iter().map(|(name, _)| *name).collect()
            }

            /// As `finds` writes it.
            pub(crate) fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The signal of a name.
            pub(crate) fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().find(|(n, _)| *n == name).map(|(_, signal)| *signal)
            }
        }
    };
}

signals! {
    /// The customer asks for a person in a sentence of its own right.
    HumanRequest = "human_request",
    /// The customer only names a person ("a human", "agent!"): a request unless a person listens.
    BareHumanRequest = "bare_human_request",
    /// The customer refuses to deal with a machine: a request where no other sentence of the turn is one.
    MachineRefusal = "machine_refusal",
    /// The customer asks for a supervisor or manager.
    SupervisorRequest = "supervisor_request",
    /// The customer asks for a department: a request unless a person listens.
    DepartmentRequest = "department_request",
    /// The agent side offers a person.
    HumanOffer = "human_offer",
    /// The agent side announces that somebody else takes over.
    Handoff = "handoff",
    /// The agent side says why the customer waits, in a queue.
    QueueAnnouncement = "queue_announcement",
    /// The agent side announces a hold.
    HoldAnnouncement = "hold_announcement",
    /// A menu is read out.
    MenuPrompt = "menu_prompt",
    /// Nothing but "okay" or "one moment".
    Acknowledgement = "acknowledgement",
    /// Yes.
    Affirmative = "affirmative",
    /// No.
    Negative = "negative",
    /// The agent side says that it is an AI.
    AiDisclosure = "ai_disclosure",
    /// The speaker greets or speaks as only a person does.
    HumanAgentWords = "human_agent_words",
    /// The customer says that the matter is settled.
    ResolutionConfirmed = "resolution_confirmed",
    /// The customer says that the matter is not settled.
    ResolutionDenied = "resolution_denied",
    /// The agent side delivers the fix or the answer.
    FixDelivered = "fix_delivered",
    /// The agent side says that it can not or did not do it.
    Failure = "failure",
    /// The agent side asks whether the matter is settled.
    ResolutionCheck = "resolution_check",
    /// The agent side asks whether there is more to do.
    AnythingElse = "anything_else",
    /// The customer has nothing more, or thanks.
    Satisfied = "satisfied",
    /// The customer gives up.
    Abandon = "abandon",
    /// The customer says that this is not the first contact.
    RepeatContact = "repeat_contact",
    /// Words that only the agent side says.
    AgentWords = "agent_words",
    /// Words that only the customer says.
    CustomerWords = "customer_words",
}
