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
    /// The customer asks for another person than the one who listens.
    AnotherPersonRequest = "another_person_request",
    /// The customer only names persons or machines: asks whether one listens, or says that none is wanted.
    NoRequest = "no_request",
    /// The agent side offers a person.
    HumanOffer = "human_offer",
    /// The agent side asks for a yes to what it has just said ("shall I do that?").
    AsksGoAhead = "asks_go_ahead",
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
    /// The customer takes an offer.
    AcceptsOffer = "accepts_offer",
    /// The customer turns an offer down.
    RefusesOffer = "refuses_offer",
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
    /// The customer says that something works: settles what was delivered or suggested just before.
    WorksNow = "works_now",
    /// The customer says that something fails: denies what was delivered or suggested just before.
    FailsStill = "fails_still",
    /// The customer begins with no: denies what was delivered or suggested just before, where nothing else was asked.
    PlainNo = "plain_no",
    /// The agent side tells the customer what to try.
    Remedy = "remedy",
    /// The agent side asks whether the matter is settled.
    ResolutionCheck = "resolution_check",
    /// The agent side asks whether there is more to do.
    AnythingElse = "anything_else",
    /// The customer has nothing more, or thanks.
    Satisfied = "satisfied",
    /// The customer says unasked that there is nothing more.
    NothingMore = "nothing_more",
    /// The customer asks for a fact.
    AsksToKnow = "asks_to_know",
    /// The customer gives up.
    Abandon = "abandon",
    /// The customer says that this leads nowhere: gives up where a farewell follows.
    Despair = "despair",
    /// The customer takes leave.
    Farewell = "farewell",
    /// The customer says that this is not the first contact.
    RepeatContact = "repeat_contact",
    /// The agent side finds nobody there, or ends the call for want of an answer.
    NobodyThere = "nobody_there",
    /// The speaker says to be a person.
    ClaimsPerson = "claims_person",
    /// A person begins to serve: greets with a name.
    PersonGreets = "person_greets",
    /// Words that only the agent side says.
    AgentWords = "agent_words",
    /// Words that only the customer says.
    CustomerWords = "customer_words",
}
