package tandem

import "time"

// Directory is an immutable snapshot of everything provisioned, in the order
// of its keys. Routing and rating build their lookups from it; a change makes
// a new one.
type Directory struct {
	Version   uint64
	Trunks    []Trunk
	Accounts  []Account
	Tenants   []Tenant
	Addresses []ServiceAddress
	Numbers   []Number
	Decks     []Deck
}

// Account is an enterprise customer.
type Account struct {
	ID       string   `json:"id"` // short name, as in "contoso"
	Name     string   `json:"name"`
	Currency Currency `json:"currency"`
	TimeZone string   `json:"time_zone"` // IANA; billing cycles are counted in it
	// CycleDay is the day of the month on which cycles begin, its last day where
	// a month has no such day; 0 and 1: the calendar month.
	CycleDay int `json:"cycle_day,omitzero"`
	// CycleSplit: a call across the end of a cycle draws what it talks after it from
	// the next cycle's bucket; else all of it from the one in which it was answered.
	CycleSplit bool `json:"cycle_split,omitzero"`
	// RetailOut and RetailIn name the decks for outbound and inbound legs.
	RetailOut string `json:"retail_out"`
	RetailIn  string `json:"retail_in"`
	// FreeMinutes per number and cycle of the Unlimited plan (4,000 on the product sheet).
	FreeMinutes int `json:"free_minutes"`
	// FreeClasses are the destination classes that draw free minutes: "US numbers".
	FreeClasses []NumberClass `json:"free_classes"`
	// LowBalance: an event tells, once per cycle, that the balance fell below it; nil = never.
	LowBalance *Amount `json:"low_balance,omitempty"`
	// Prepaid accounts spend what was paid in and CreditLimit more. Others are
	// limited only by a CreditLimit other than 0: what they may owe.
	Prepaid     bool   `json:"prepaid,omitempty"`
	CreditLimit Amount `json:"credit_limit,omitzero"`
	// FeeMetered and FeeUnlimited are the subscription fees of the plans, per number
	// and cycle; 0 = none.
	FeeMetered   Amount `json:"fee_metered,omitzero"`
	FeeUnlimited Amount `json:"fee_unlimited,omitzero"`
}

// Limited reports whether the account's calls need credit.
func (a *Account) Limited() bool { return a.Prepaid || a.CreditLimit > 0 }

// Fee is the subscription fee of a plan.
func (a *Account) Fee(p PlanKind) Amount {
	switch p {
	case Metered:
		return a.FeeMetered
	case Unlimited:
		return a.FeeUnlimited
	}
	return 0
}

// Tenant is a Microsoft 365 tenant of an account.
type Tenant struct {
	ID      TenantID `json:"id"`
	Account string   `json:"account"`
	Name    string   `json:"name"`
	// FQDN is the tenant's own trunk name on a shared trunk (Direct Routing
	// carrier model): Contact host towards Microsoft, Request-URI host from it.
	// Empty for Operator Connect, where X-MS-TenantID names the tenant.
	FQDN string `json:"fqdn,omitempty"`
}

// ServiceAddress is a primary place of use.
type ServiceAddress struct {
	ID         string `json:"id"`
	Account    string `json:"account"`
	Street     string `json:"street"`
	City       string `json:"city"`
	State      string `json:"state"`
	PostalCode string `json:"postal_code"`
	Country    string `json:"country"`
}

// Number is a DID assigned to a tenant.
type Number struct {
	DID            E164         `json:"did"`
	Account        string       `json:"account"`
	Tenant         TenantID     `json:"tenant"`
	ServiceAddress string       `json:"service_address"`
	UserType       UserType     `json:"user_type"`
	Plan           PlanKind     `json:"plan"`
	Failsafe       E164         `json:"failsafe,omitempty"`
	FirstName      string       `json:"first_name,omitempty"`
	LastName       string       `json:"last_name,omitempty"`
	ServiceName    string       `json:"service_name,omitempty"`
	Status         NumberStatus `json:"status"`
}

// Deck is a rate deck: prices by destination prefix.
type Deck struct {
	ID        string    `json:"id"`
	Direction Direction `json:"direction"`
	Currency  Currency  `json:"currency"`
	Version   int       `json:"version"` // counts up with every change; stored with each charge
	Rows      []DeckRow `json:"rows"`
}

// DeckRow prices one prefix for one period (rating-and-cdr.md 1.3).
type DeckRow struct {
	ID            int64     `json:"id"`
	Prefix        string    `json:"prefix"` // digits without +; "" is the catch-all
	Destination   string    `json:"destination"`
	EffectiveFrom time.Time `json:"effective_from,omitzero"`
	EffectiveTo   time.Time `json:"effective_to,omitzero"` // exclusive; zero = open
	Rate          Rate      `json:"rate"`                  // per minute; with RateIntrastate the interstate one
	ConnectFee    Amount    `json:"connect_fee"`
	InitialInc    int       `json:"initial_inc"` // seconds, at least 1
	NextInc       int       `json:"next_inc"`    // seconds, at least 1
	Reject        bool      `json:"reject,omitempty"`

	// RateInitial, when given, is the rate of the first interval; Rate is that of the rest.
	RateInitial OptionalRate `json:"rate_initial,omitzero"`
	// RateIntrastate, when given, prices calls within one US state.
	RateIntrastate OptionalRate `json:"rate_intrastate,omitzero"`
	// Grace: calls shorter than so many seconds are free of charge and draw nothing.
	Grace     int    `json:"grace,omitzero"`
	MinCharge Amount `json:"min_charge,omitzero"` // least charge of a call that is charged from its beginning
	// Rounding of the amount; zero = half to even at six decimals.
	Rounding Rounding `json:"rounding,omitzero"`
	// RateIndeterminate prices calls whose ends can't both be placed; else the higher of Rate and RateIntrastate.
	RateIndeterminate OptionalRate `json:"rate_indeterminate,omitzero"`
	// Times, when not empty, says at which times of the week the row counts, as
	// in "America/New_York Mon-Fri 08:00-18:00"; the prefix's row without times
	// prices the rest (see package deck).
	Times string `json:"times,omitempty"`
}

// DeckForm is how a rate sheet is to be read: which of its columns is which.
type DeckForm struct {
	// Template is a ready form: "plain" (also ""), "us-wholesale".
	Template string `json:"template,omitempty"`
	// Columns says what the sheet calls a column, by the deck's own name for it,
	// over the template's: {"rate": "price per minute"}. "" takes one away.
	Columns map[string]string `json:"columns,omitempty"`
	// Zone is the IANA zone in which dates begin; "" = UTC.
	Zone string `json:"zone,omitempty"`
}

// DeckSheet is a rate sheet as read. Rows are numbered from 1 in the order of
// the file; Warnings are what its sender may want to know, but may want so.
type DeckSheet struct {
	Rows     []DeckRow
	Warnings []string
}
