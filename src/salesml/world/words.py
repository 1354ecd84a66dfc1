"""Word lists the company's names and texts are put together from. Invented; e-mail addresses end in .example."""

from __future__ import annotations


def _list(words: str) -> tuple[str, ...]:
    return tuple(words.split())


REGIONS = ("North", "South", "East", "West")
ZONES = ("America/New_York", "America/Chicago", "Europe/London", "Europe/Berlin")
"""Time zones of the regions; office hours from 08:00 to 18:00 lie within one UTC day in all of them."""
COUNTRIES = ("United States", "United States", "United Kingdom", "Germany")
INDUSTRIES = ("Manufacturing", "Retail", "Healthcare", "Logistics", "Finance", "Public sector", "Energy", "Education")
SEGMENTS = ("small", "mid-market", "enterprise")
SOURCES = ("inbound", "referral", "partner", "outbound", "event", "paid")
CHANNELS = ("search", "email", "webinar", "social", "partner site")
STAGES = ("Qualification", "Discovery", "Demonstration", "Proposal", "Negotiation")

STEM_HEADS = _list(
    "Brim Tar Vel Nor Quil Hax Ost Lum Fen Dor Karv Mel Sund Pell Gar Thul Wex Ind Jor Cal "
    "Ard Bex Cor Dun Elv Fal Gris Hol Isk Jun Kest Lor Mav Nax Orv Pryd Rusk Sel Tov Ulv"
)
STEM_TAILS = _list(
    "holt vane brook ridge mont dale wick ston field gate mere thorpe lund berg croft "
    "haven moor ness port quay rock shaw tide vale wold yard bridge cliff den fold"
)
COMPANY_KINDS = _list("Works Group Systems Partners Trading Industries Supply Services Labs Holdings")
FIRST_NAMES = _list(
    "Ada Ben Cleo Dario Elif Femi Greta Hugo Ines Jonas Kaia Leon Mira Nils Olga Pablo Rhea Sven Tara Umar "
    "Vera Wim Xenia Yann Zoe Aron Bela Cora Dina Emil"
)
TITLES = (
    ("Chief operating officer", "c_level"),
    ("Vice president, purchasing", "vp"),
    ("Director of operations", "director"),
    ("Purchasing manager", "manager"),
    ("IT manager", "manager"),
    ("Buyer", "staff"),
    ("Analyst", "staff"),
)

PRODUCTS = (
    # name, family, list price of a unit, unit cost (both in the company's currency), typical size against the segment's
    ("Lantern Core", "Lantern", 400, 120, 0.7),
    ("Lantern Plus", "Lantern", 900, 260, 1.0),
    ("Lantern Fleet", "Lantern", 2_200, 700, 1.6),
    ("Abacus Desk", "Abacus", 300, 80, 0.6),
    ("Abacus Suite", "Abacus", 1_100, 300, 1.1),
    ("Harbour Link", "Harbour", 1_600, 640, 1.3),
)
COMPETITORS = (
    # name, where it competes, how much it takes off a deal's log-odds
    ("Orvane", "enterprise", 0.55),
    ("Kestfold", "mid-market", 0.35),
    ("Lumwick", "small", 0.15),
    ("Duncroft", "all", 0.45),
)

LOSS_REASONS = ("price", "competitor", "missing function", "timing", "relationship")
GIVEN_UP_REASONS = ("no budget", "no decision", "contact left", "project stopped")
NEXT_STEPS = (
    "Send summary",
    "Book follow-up call",
    "Share reference",
    "Meet the economic buyer",
    "Clarify scope",
    "Await legal review",
    "Confirm timeline",
    "",
)

SUBJECTS = {
    "email": ("Next steps on", "Questions about", "Following up on", "Your enquiry about", "Pricing for"),
    "call": ("Call about", "Check-in on", "Short call on"),
    "meeting": ("Meeting on", "Workshop:", "Review of"),
    "demo": ("Demonstration of", "Trial of"),
}
OUTBOUND_BODIES = (
    "Sent the summary we agreed on and asked for a date.",
    "Shared a reference from a similar company.",
    "Asked who else should be part of the decision.",
    "Went through open questions on scope and price.",
    "Left a message and proposed two times.",
    "Sent the security questionnaire and the data sheet.",
    "Recapped the pilot results and suggested a call with finance.",
    "Reminded them of the offer's end date.",
)
MET_BODIES = (
    "Walked through the workflow with the team, two open questions on reporting.",
    "Met the department head, who wants numbers on the time saved.",
    "Workshop on integration; their IT will test access this week.",
    "Agreed on scope and next milestones, minutes sent.",
    "Reviewed the offer line by line, price was the main topic.",
    "Short session with purchasing about terms and the contract.",
)
LEAD_BODIES = (
    "First contact, asked about their present tool.",
    "No answer, left a message.",
    "Sent the overview and two customer stories.",
    "Spoke briefly, they look at this next quarter.",
    "Asked for fifteen minutes next week.",
)
OPENERS = ("", "Hi, ", "Thanks for the call. ", "Sorry for the late reply. ")
INBOUND_BODIES = (
    # by momentum: stalled, normal, hot; six each
    (
        "We need more time, other projects come first.",
        "Not a priority this quarter, please check back.",
        "Budget is on hold, no news from finance.",
        "I have not had the chance to look at it.",
        "Let us postpone the next meeting.",
        "There is a reorganisation here, nobody decides at the moment.",
    ),
    (
        "Thanks, could you send the price list again?",
        "I have forwarded it to my colleague.",
        "Which integrations do you support?",
        "Please share the agenda for next week.",
        "We are comparing two offers.",
        "How long does the set-up take for a team like ours?",
    ),
    (
        "Great session, the team wants to go ahead.",
        "Legal has the contract, we aim for this month.",
        "Can we add ten more users to the offer?",
        "Our director is on board, please send the order form.",
        "When could we start?",
        "Finance has approved the budget, what is the next step?",
    ),
)
RIVAL_BODY = "We also have an offer from {}, can you match it?"
PAGES = ("home", "product tour", "pricing", "customer stories", "integrations", "blog", "careers")
FILES = ("buyer's guide", "security data sheet", "return calculator", "case study")
EVENT_TYPES = ("web_visit", "email_open", "email_click", "email_reply", "download", "webinar", "form", "social")
