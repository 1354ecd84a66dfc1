"""The canonical records. Times are UTC instants; money is DECIMAL(18,2) in the row's own currency; ids are text."""

from __future__ import annotations

from salesml.contracts.spec import Column as C
from salesml.contracts.spec import Table
from salesml.errors import UnknownName

STATUS = ("open", "won", "lost", "no_decision")
CHANGE = C(
    "change_id",
    "string",
    "name of the change within its entity, stable across exports (created, stage:3, closed)",
    required=True,
)


def _currency(of: str = "amount") -> C:
    return C("currency", "string", f"ISO 4217 currency of {of}")


_ACCOUNT = Table(
    "account", "changes", "account_id", "a company that buys or may buy",
    (
        C("account_id", "string", "account", required=True), CHANGE,
        C("name", "string", "company name"),
        C("industry", "string", "industry or sector"),
        C("region", "string", "sales region the account belongs to"),
        C("country", "string", "country name or ISO code"),
        C("city", "string", "city"),
        C("postal_code", "string", "postal code"),
        C("latitude", "float", "latitude", "degrees", low=-90, high=90),
        C("longitude", "float", "longitude", "degrees", low=-180, high=180),
        C("employees", "int", "employees", "people", low=0),
        C("annual_revenue", "money", "the account's own yearly revenue", "currency", low=0),
        _currency("annual_revenue"),
        C("founded_year", "int", "year founded", "year", low=1000, high=2100),
        C("parent_account_id", "string", "the account that owns it", references="account.account_id"),
        C("market_area_id", "string", "area it lies in", references="market_area.market_area_id"),
        C("territory_id", "string", "territory it lies in", references="territory.territory_id"),
        C("owner_id", "string", "rep who owns it", references="user.user_id"),
        C("custom", "json", "fields of the export without a column here, as a JSON object"),
        C("deleted", "bool", "deleted in the source system"),
    ),
)  # fmt: skip

_CONTACT = Table(
    "contact", "changes", "contact_id", "a person at an account",
    (
        C("contact_id", "string", "contact", required=True), CHANGE,
        C("account_id", "string", "account", references="account.account_id"),
        C("name", "string", "name"), C("email", "string", "e-mail address"), C("phone", "string", "phone number"),
        C("title", "string", "job title"),
        C("seniority", "string", "seniority band", allowed=("c_level", "vp", "director", "manager", "staff")),
        C("consent", "bool", "agreed to be contacted"),
        C("deleted", "bool", "deleted in the source system"),
    ),
)  # fmt: skip

_USER = Table(
    "user", "changes", "user_id", "a rep, manager or other member of the sales organisation",
    (
        C("user_id", "string", "user", required=True), CHANGE,
        C("name", "string", "name"), C("email", "string", "e-mail address"),
        C("role", "string", "rep, manager, …"),
        C("team_id", "string", "team", references="team.team_id"),
        C("manager_id", "string", "manager", references="user.user_id"),
        C("region", "string", "sales region"),
        C("time_zone", "string", "IANA time zone the person works in"),
        C("active", "bool", "works here now"),
        C("hired_on", "date", "first day"), C("left_on", "date", "first day no longer here"),
    ),
)  # fmt: skip

_TEAM = Table(
    "team", "changes", "team_id", "a sales team",
    (
        C("team_id", "string", "team", required=True), CHANGE,
        C("name", "string", "name"), C("region", "string", "sales region"),
        C("parent_team_id", "string", "team above", references="team.team_id"),
        C("manager_id", "string", "manager", references="user.user_id"),
    ),
)  # fmt: skip

_TERRITORY = Table(
    "territory", "changes", "territory_id", "a sales territory",
    (
        C("territory_id", "string", "territory", required=True), CHANGE,
        C("name", "string", "name"), C("region", "string", "sales region"),
        C("owner_id", "string", "rep in charge", references="user.user_id"),
    ),
)  # fmt: skip

_PRODUCT = Table(
    "product", "changes", "product_id", "something that is sold",
    (
        C("product_id", "string", "product", required=True), CHANGE,
        C("name", "string", "name"), C("family", "string", "product family or series"),
        C("list_price", "money", "list price of one unit", "currency", low=0), _currency("list_price and unit_cost"),
        C("unit_cost", "money", "cost of one unit", "currency", low=0),
        C("active", "bool", "sold now"),
    ),
)  # fmt: skip

_PRICE = Table(
    "price", "changes", "price_id", "a price of a product in a price list",
    (
        C("price_id", "string", "price entry", required=True), CHANGE,
        C("product_id", "string", "product", references="product.product_id", required=True),
        C("price_list", "string", "price list or segment"),
        C("amount", "money", "price of one unit", "currency", low=0), _currency(),
    ),
)  # fmt: skip

_CAMPAIGN = Table(
    "campaign", "changes", "campaign_id", "a marketing campaign",
    (
        C("campaign_id", "string", "campaign", required=True), CHANGE,
        C("name", "string", "name"), C("channel", "string", "channel"), C("source", "string", "source"),
        C("cost", "money", "cost to date", "currency", low=0), _currency("cost"),
        C("starts_on", "date", "first day"), C("ends_on", "date", "first day after"),
    ),
)  # fmt: skip

_COMPETITOR = Table(
    "competitor", "changes", "competitor_id", "a competitor",
    (
        C("competitor_id", "string", "competitor", required=True), CHANGE,
        C("name", "string", "name"), C("segment", "string", "where it competes"),
    ),
)  # fmt: skip

_MARKET_AREA = Table(
    "market_area", "changes", "market_area_id", "a geographic area with its market potential",
    (
        C("market_area_id", "string", "area", required=True), CHANGE,
        C("name", "string", "name"), C("region", "string", "sales region"),
        C("latitude", "float", "latitude", "degrees", low=-90, high=90),
        C("longitude", "float", "longitude", "degrees", low=-180, high=180),
        C("territory_id", "string", "territory it belongs to", references="territory.territory_id"),
        C("population", "int", "people living there", "people", low=0),
        C("industry_mix", "json", "share of the potential by industry, as a JSON object"),
        C("potential", "money", "yearly market potential", "currency", low=0), _currency("potential"),
    ),
)  # fmt: skip

_QUOTA = Table(
    "quota", "changes", "quota_id", "a target for somebody and a period",
    (
        C("quota_id", "string", "quota", required=True), CHANGE,
        C("entity_type", "string", "whose", allowed=("rep", "team", "region", "company"), required=True),
        C("entity_id", "string", "which rep, team or region", required=True),
        C("period_start", "date", "first day of the period", required=True),
        C("period_end", "date", "first day after the period", required=True),
        C("target", "string", "what is counted", allowed=("revenue", "units", "activities")),
        C("amount", "money", "target value", "currency, units or activities", low=0), _currency(),
    ),
)  # fmt: skip

_LEAD = Table(
    "lead", "changes", "lead_id", "somebody who may become a customer",
    (
        C("lead_id", "string", "lead", required=True), CHANGE,
        C("account_id", "string", "account", references="account.account_id"),
        C("contact_id", "string", "contact", references="contact.contact_id"),
        C("owner_id", "string", "rep it is routed to", references="user.user_id"),
        C("source", "string", "where it came from"),
        C("campaign_id", "string", "campaign", references="campaign.campaign_id"),
        C("landing_page", "string", "page of first contact"),
        C("industry", "string", "industry"), C("country", "string", "country"), C("title", "string", "job title"),
        C("employees", "int", "employees of the company", "people", low=0),
        C("status", "string", "state of the lead", allowed=("open", "qualified", "converted", "disqualified")),
        C("opportunity_id", "string", "opportunity it became", references="opportunity.opportunity_id"),
        C("custom", "json", "fields of the export without a column here, as a JSON object"),
        C("deleted", "bool", "deleted in the source system"),
    ),
)  # fmt: skip

_OPPORTUNITY = Table(
    "opportunity", "changes", "opportunity_id", "a deal, as the changes it went through",
    (
        C("opportunity_id", "string", "deal", required=True), CHANGE,
        C("account_id", "string", "account", references="account.account_id"),
        C("contact_id", "string", "main contact", references="contact.contact_id"),
        C("owner_id", "string", "rep in charge", references="user.user_id"),
        C("product_id", "string", "main product", references="product.product_id"),
        C("competitor_id", "string", "main competitor", references="competitor.competitor_id"),
        C("lead_id", "string", "lead it came from", references="lead.lead_id"),
        C("territory_id", "string", "territory", references="territory.territory_id"),
        C("name", "string", "name"),
        C("amount", "money", "expected or final value", "currency", low=0), _currency(),
        C("discount", "float", "discount off list", "share 0..1", low=-1, high=1),
        C("stage", "string", "sales stage, as the company calls it"),
        C("stage_order", "int", "position of the stage, 1 = first", "position", low=0),
        C("status", "string", "outcome so far", allowed=STATUS),
        C("probability", "float", "probability entered in the source system", "share 0..1", low=0, high=1),
        C("forecast_category", "string", "the rep's call", allowed=("pipeline", "best_case", "commit", "closed", "omitted")),
        C("close_date", "date", "expected close date while open"),
        C("source", "string", "where it came from"), C("type", "string", "new, renewal, expansion, …"),
        C("segment", "string", "market segment"), C("next_step", "string", "next step, '' once cleared"),
        C("loss_reason", "string", "reason given at close"),
        C("custom", "json", "fields of the export without a column here, as a JSON object"),
        C("deleted", "bool", "deleted in the source system"),
    ),
)  # fmt: skip

_ACTIVITY = Table(
    "activity", "events", "activity_id", "a contact or task around a deal, account or lead",
    (
        C("activity_id", "string", "activity", required=True),
        C("opportunity_id", "string", "deal", references="opportunity.opportunity_id"),
        C("account_id", "string", "account", references="account.account_id"),
        C("contact_id", "string", "contact", references="contact.contact_id"),
        C("lead_id", "string", "lead", references="lead.lead_id"),
        C("owner_id", "string", "who did it", references="user.user_id"),
        C("type", "string", "kind", allowed=("call", "email", "meeting", "demo", "task", "other")),
        C("direction", "string", "who started it", allowed=("outbound", "inbound")),
        C("subject", "string", "subject"), C("body", "string", "text"),
        C("duration_minutes", "float", "duration", "minutes", low=0),
        C("outcome", "string", "outcome"), C("next_action", "string", "next action"),
        C("attendees", "int", "people on the other side", "people", low=0),
        C("metadata", "json", "what else the source knows, as a JSON object"),
    ),
)  # fmt: skip

_LEAD_EVENT = Table(
    "lead_event", "events", "lead_event_id", "something a lead did",
    (
        C("lead_event_id", "string", "event", required=True),
        C("lead_id", "string", "lead", references="lead.lead_id", required=True),
        C("type", "string", "web_visit, email_open, email_click, email_reply, download, webinar, form, social, …", required=True),
        C("campaign_id", "string", "campaign", references="campaign.campaign_id"),
        C("channel", "string", "channel"), C("content", "string", "page, file or mail"),
        C("value", "float", "seconds, pages or points, as the type says"),
    ),
)  # fmt: skip

_REVENUE = Table(
    "revenue", "events", "revenue_id", "revenue booked, invoiced or ordered; occurred_at is its date",
    (
        C("revenue_id", "string", "entry", required=True),
        C("account_id", "string", "account", references="account.account_id"),
        C("product_id", "string", "product", references="product.product_id"),
        C("owner_id", "string", "rep credited", references="user.user_id"),
        C("opportunity_id", "string", "deal", references="opportunity.opportunity_id"),
        C("amount", "money", "amount; negative for credit notes", "currency", required=True), _currency(),
        C("quantity", "float", "units", "units"),
        C("kind", "string", "kind of entry", allowed=("booking", "invoice", "order"), required=True),
    ),
)  # fmt: skip

_FX_RATE = Table(
    "fx_rate", "events", "fx_rate_id", "an exchange rate, valid from occurred_at until the next one",
    (
        C("fx_rate_id", "string", "rate", required=True),
        C("from_currency", "string", "ISO 4217", required=True), C("to_currency", "string", "ISO 4217", required=True),
        C("rate", "float", "units of to_currency for one of from_currency", "ratio", required=True, low=0),
    ),
)  # fmt: skip

_MODEL = (
    C("as_of", "timestamp", "the first instant not known when it was computed", required=True),
    C("model", "string", "registered model", required=True),
    C("model_version", "string", "its version"),
    C("run_id", "string", "MLflow run that wrote it"),
    C("head_id", "int", "lake HEAD it was computed from"),
)

_PREDICTION = Table(
    "prediction", "outputs", "prediction_id", "a probability for an entity (deal scores: target won)",
    (
        C("prediction_id", "string", "prediction", required=True),
        C("entity_type", "string", "opportunity, lead, account", required=True), C("entity_id", "string", "which one", required=True),
        C("target", "string", "what is predicted", required=True),
        C("horizon_days", "int", "within how many days after as_of", "days"),
        C("point", "float", "calibrated probability", "share 0..1", required=True, low=0, high=1),
        C("lo", "float", "5 % bound of the probability", "share 0..1"), C("hi", "float", "95 % bound of the probability", "share 0..1"),
        C("factors", "json", "list of {feature, value, effect}: effects and base add up to the log-odds of point"),
        *_MODEL,
    ),
)  # fmt: skip

_LEAD_SCORE = Table(
    "lead_score", "outputs", "lead_score_id", "a lead's score and its components, 0..100",
    (
        C("lead_score_id", "string", "score", required=True), C("lead_id", "string", "lead", required=True),
        *(
            C(name, "float", f"{name} score", "0..100")
            for name in ("composite", "behavioural", "demographic", "engagement", "intent", "fit")
        ),
        C("factors", "json", "list of {feature, value, effect}"),
        C("scored_at", "timestamp", "when"), C("valid_until", "timestamp", "until when"),
        *_MODEL,
    ),
)  # fmt: skip

_LEAD_GRADE = Table(
    "lead_grade", "outputs", "lead_grade_id", "hot, warm or cold: whether working a lead pays, and whether there is time for it",
    (
        C("lead_grade_id", "string", "grade", required=True), C("lead_id", "string", "lead", required=True),
        C("grade", "string", "grade", allowed=("hot", "warm", "cold"), required=True),
        C("probability", "float", "calibrated chance to convert that it rests on", "share 0..1", low=0, high=1),
        C("expected_value", "money", "chance × what a converted lead brings", "currency"), _currency("expected_value"),
        C("evidence", "json", "sentences that say why"),
        C("thresholds", "json", "what the grades were drawn by, and the horizon_days of the chances"),
        *_MODEL,
    ),
)  # fmt: skip

_GRADE_OVERRIDE = Table(
    "grade_override", "events", "grade_override_id", "a person's own grade for a lead, beside the one worked out",
    (
        C("grade_override_id", "string", "override", required=True),
        C("lead_id", "string", "lead", references="lead.lead_id", required=True),
        C("grade", "string", "the person's grade; missing where it takes one back", allowed=("hot", "warm", "cold")),
        C("reason", "string", "why", required=True), C("author", "string", "who", required=True),
        C("expires_at", "timestamp", "no longer valid from"),
        C("withdraws", "string", "the override this one takes back", references="grade_override.grade_override_id"),
    ),
)  # fmt: skip

_ASSIGNMENT = Table(
    "assignment", "events", "assignment_id", "a lead given to a rep",
    (
        C("assignment_id", "string", "assignment", required=True),
        C("lead_id", "string", "lead", references="lead.lead_id", required=True),
        C("owner_id", "string", "rep it goes to", references="user.user_id", required=True),
        C("previous_owner_id", "string", "rep it is taken from", references="user.user_id"),
        C("policy", "string", "how it was chosen", allowed=("round_robin", "weighted", "rules", "optimal", "person"), required=True),
        C("propensity", "float", "chance with which the policy chose this rep; missing where a person did", "share 0..1", low=0, high=1),
        C("expected_value", "money", "what the lead is expected to bring with this rep", "currency"), _currency("expected_value"),
        C("reason", "string", "why this rep", required=True),
        C("alternative", "json", "the best other rep and what speaks against: {owner_id, expected_value, reason}"),
        C("author", "string", "who asked for it", required=True), C("approver", "string", "who approved, where it was a reassignment"),
    ),
)  # fmt: skip

_NURTURE = Table(
    "nurture", "events", "nurture_id", "what nurturing decided to do with a lead: a step to send, or to hold out",
    (
        C("nurture_id", "string", "decision", required=True),
        C("lead_id", "string", "lead", references="lead.lead_id", required=True),
        C("programme", "string", "programme", required=True), C("step", "int", "position in its sequence", "position", low=1),
        C("held_out", "bool", "drawn by lot to get nothing of this programme, so that its effect can be measured", required=True),
        C("content", "string", "what is sent"), C("channel", "string", "by which channel"),
        C("send_at", "timestamp", "when it is due"),
        C("propensity", "float", "chance with which the policy chose this", "share 0..1", low=0, high=1),
        C("policy", "string", "policy and its version", required=True), C("reason", "string", "why", required=True),
    ),
)  # fmt: skip

_FORECAST = Table(
    "forecast", "outputs", "forecast_id", "expected revenue of an entity and a period",
    (
        C("forecast_id", "string", "forecast", required=True),
        C("entity_type", "string", "level", allowed=("rep", "team", "region", "company"), required=True),
        C("entity_id", "string", "which one", required=True),
        C("parent", "string", "what it is a part of: company, region/NAME, team/NAME; missing: the company, for a region"),
        C("period_start", "date", "first day of the period", required=True), C("period_end", "date", "first day after it", required=True),
        C("amount", "money", "point forecast", "currency", required=True), _currency(),
        *(C(name, "money", f"bound of the {name[2:]} % interval", "currency") for name in ("lo80", "hi80", "lo95", "hi95")),
        C("accuracy", "json", "measured error and coverage of this model at this level; total: sum up to this period and its interval"),
        C("factors", "json", "list of {factor, effect}"), C("adjustments", "json", "overrides applied"), C("author", "string", "who"),
        *_MODEL,
    ),
)  # fmt: skip

_LANDING = Table(
    "landing", "outputs", "landing_id", "where a fiscal quarter lands by the model, as seen at an instant (kept for the record of calls)",
    (
        C("landing_id", "string", "landing", required=True),
        C("entity_type", "string", "level", allowed=("rep", "team", "region", "company"), required=True),
        C("entity_id", "string", "which one", required=True),
        C("period_start", "date", "first day of the quarter", required=True), C("period_end", "date", "first day after it", required=True),
        C("amount", "money", "mean; missing where the model had none", "currency"), _currency(),
        C("lo80", "money", "bound of the 80 % interval", "currency"), C("hi80", "money", "bound of the 80 % interval", "currency"),
        *_MODEL,
    ),
)  # fmt: skip

_OVERRIDE = Table(
    "override", "events", "override_id", "an approved change of a forecast or a probability by a person",
    (
        C("override_id", "string", "override", required=True),
        C("target_type", "string", "forecast or prediction", allowed=("forecast", "prediction"), required=True),
        C("target_id", "string", "what it changes", required=True),
        C("amount", "money", "new amount", "currency"), C("probability", "float", "new probability", "share 0..1", low=0, high=1),
        C("reason", "string", "why", required=True), C("author", "string", "who", required=True), C("approver", "string", "who approved"),
        C("expires_at", "timestamp", "no longer valid from"),
        C("withdraws", "string", "the override this one takes back", references="override.override_id"),
    ),
)  # fmt: skip

_CALL = Table(
    "call", "events", "call_id", "a person's own number for what a fiscal quarter brings; a later one by the same author replaces it",
    (
        C("call_id", "string", "call", required=True),
        C("entity_type", "string", "level", allowed=("rep", "team", "region", "company"), required=True),
        C("entity_id", "string", "which one", required=True),
        C("period_start", "date", "first day of the quarter", required=True), C("period_end", "date", "first day after it", required=True),
        C("amount", "money", "revenue of the whole quarter", "currency", required=True, low=0), _currency(),
        C("note", "string", "what stands behind it"), C("author", "string", "who", required=True),
    ),
)  # fmt: skip

_IMPORT_ISSUE = Table(
    "import_issue", "outputs", "import_issue_id", "a row that was rejected, or kept with a warning, at an import",
    (
        C("import_issue_id", "string", "issue", required=True),
        C("severity", "string", "rejected or kept with a warning", allowed=("rejected", "warning"), required=True),
        C("table", "string", "canonical table"), C("column", "string", "column of the file"), C("value", "string", "offending value"),
        C("reason", "string", "what is wrong", required=True), C("mend", "string", "what to do"),
        C("raw", "json", "the row as received, as a JSON object"),
    ),
)  # fmt: skip

TABLES: dict[str, Table] = {
    t.name: t
    for t in (
        _ACCOUNT, _CONTACT, _USER, _TEAM, _TERRITORY, _PRODUCT, _PRICE, _CAMPAIGN, _COMPETITOR, _MARKET_AREA, _QUOTA, _LEAD, _OPPORTUNITY,
        _ACTIVITY, _LEAD_EVENT, _REVENUE, _FX_RATE, _PREDICTION, _LEAD_SCORE, _LEAD_GRADE, _FORECAST, _LANDING, _OVERRIDE,
        _GRADE_OVERRIDE, _CALL, _ASSIGNMENT, _NURTURE, _IMPORT_ISSUE,
    )
}  # fmt: skip

SIGNED = ("override", "grade_override", "call", "assignment", "nurture")
"""Events that salesml's own users and policies write, at the clock's time: they do not show how far the sources' facts reach."""


def table(name: str) -> Table:
    """The contract of that name; UnknownName lists the valid ones."""
    if name not in TABLES:
        raise UnknownName("table", name, TABLES)
    return TABLES[name]
