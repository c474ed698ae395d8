package provisioning

import (
	"github.com/google/uuid"

	"tandem"
)

// DefaultFreeMinutes is the monthly allowance of the Unlimited plan on the product sheet.
const DefaultFreeMinutes = 4000

// defaultFreeClasses is what "US numbers" means unless an account says
// otherwise: 50 states and DC, and the territories (rating-and-cdr.md 3.4).
func defaultFreeClasses() []tandem.NumberClass {
	return []tandem.NumberClass{tandem.ClassUS, tandem.ClassUSTerritory}
}

func readAccount(v value) (tandem.Account, object) {
	o := v.object("id", "name", "currency", "time_zone", "retail_out", "retail_in", "free_minutes", "free_classes", "low_balance",
		"cycle_day", "cycle_end", "prepaid", "credit_limit", "fee_metered", "fee_unlimited")
	a := tandem.Account{
		ID:          o.name("id"),
		Name:        o.label("name"),
		Currency:    tandem.Currency(o.need("currency", "write an ISO 4217 code such as USD")),
		TimeZone:    o.need("time_zone", "write an IANA zone such as America/New_York; the billing month is counted in it"),
		RetailOut:   o.need("retail_out", "name the deck that prices outbound legs"),
		RetailIn:    o.need("retail_in", "name the deck that prices inbound legs"),
		FreeMinutes: o.integer("free_minutes", DefaultFreeMinutes, 0, 1_000_000),
		FreeClasses: defaultFreeClasses(),
		CycleDay:    o.integer("cycle_day", 1, 1, 31),
		CycleSplit:  word(o, "cycle_end", "answer", "answer", "split") == "split",

		Prepaid:      o.boolean("prepaid", false),
		CreditLimit:  parsed(o, "credit_limit", 0, parseLimit),
		FeeMetered:   parsed(o, "fee_metered", 0, parseLimit),
		FeeUnlimited: parsed(o, "fee_unlimited", 0, parseLimit),
	}
	if _, ok := o.fields["low_balance"]; ok {
		amount := parsed(o, "low_balance", 0, tandem.ParseAmount)
		a.LowBalance = &amount
	}
	if list, ok := o.fields["free_classes"]; ok {
		a.FreeClasses = nil
		for _, item := range list.list() {
			a.FreeClasses = append(a.FreeClasses, tandem.NumberClass(item.text()))
		}
	}
	return a, o
}

// parseLimit reads an amount that can't be negative and stays far from what sums overflow at.
func parseLimit(s string) (tandem.Amount, error) {
	a, err := tandem.ParseAmount(s)
	if err == nil && (a < 0 || a > 1e15) {
		err = refuse("", s, "is out of range", "write 0 to 1000000000")
	}
	return a, err
}

func readTenant(v value) (tandem.Tenant, object) {
	o := v.object("id", "account", "name", "fqdn")
	t := tandem.Tenant{
		Account: o.need("account", "name the account that the tenant belongs to"),
		Name:    o.label("name"),
		FQDN:    o.text("fqdn"),
	}
	o.need("id", tenantMend)
	t.ID = parsed(o, "id", uuid.Nil, parseTenantID)
	return t, o
}

const tenantMend = "write the Microsoft Entra tenant ID, as in 3fa85f64-5717-4562-b3fc-2c963f66afa6"

func parseTenantID(s string) (tandem.TenantID, error) {
	id, err := uuid.Parse(s)
	if err != nil || len(s) != 36 || id == uuid.Nil {
		return uuid.Nil, refuse("", s, "is not a tenant ID", tenantMend)
	}
	return id, nil
}

func readAddress(v value) (tandem.ServiceAddress, object) {
	o := v.object("id", "account", "street", "city", "state", "postal_code", "country")
	return tandem.ServiceAddress{
		ID:         o.name("id"),
		Account:    o.need("account", "name the account that the address belongs to"),
		Street:     o.needLabel("street"),
		City:       o.needLabel("city"),
		State:      o.needLabel("state"),
		PostalCode: o.needLabel("postal_code"),
		Country:    or(o.label("country"), "US"),
	}, o
}

func (o object) needLabel(key string) string {
	o.need(key, "a service address is complete: street, city, state, postal_code")
	return o.label(key)
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

func readNumber(v value) (tandem.Number, object) {
	o := v.object("did", "account", "tenant", "service_address", "user_type", "plan", "failsafe", "first_name", "last_name", "service_name")
	o.need("did", "write the number as in +14255550100")
	n := tandem.Number{
		DID:            parsed(o, "did", "", tandem.ParseE164),
		Account:        o.need("account", "name the account that the number belongs to"),
		ServiceAddress: o.need("service_address", "name the address where the number is used"),
		UserType:       word(o, "user_type", tandem.StandardUser, tandem.StandardUser, tandem.SharedLine, tandem.AutoAttendant),
		Plan:           word(o, "plan", tandem.Metered, tandem.Metered, tandem.Unlimited),
		Failsafe:       parsed(o, "failsafe", "", tandem.ParseE164),
		FirstName:      o.label("first_name"),
		LastName:       o.label("last_name"),
		ServiceName:    o.label("service_name"),
		Status:         tandem.StatusUnassigned,
	}
	o.need("tenant", tenantMend)
	n.Tenant = parsed(o, "tenant", uuid.Nil, parseTenantID)
	return n, o
}
