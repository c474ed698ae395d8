package provisioning

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"tandem"
)

// Store keeps the directory and the balances. provisioning/store implements it.
type Store interface {
	// Directory is the present snapshot.
	Directory(ctx context.Context) (*tandem.Directory, error)
	// Update stores what next returns for the present directory, in one
	// transaction and one after another; the same pointer means no change. An
	// error from next changes nothing.
	Update(ctx context.Context, next func(*tandem.Directory) (*tandem.Directory, error)) (*tandem.Directory, error)
	// Balances are the balances of all accounts that have one.
	Balances(ctx context.Context) ([]Balance, error)
}

// Balance is what an account owes or has left: the sum of its postings.
type Balance struct {
	Account  string          `json:"account"`
	Currency tandem.Currency `json:"currency"`
	Amount   tandem.Amount   `json:"amount" doc:"negative: charged and not yet paid"`
}

// Credit is what an account with limited credit can spend now.
type Credit struct {
	Held      tandem.Amount `json:"held" doc:"reserved for calls in progress, and for calls that are not booked yet"`
	Available tandem.Amount `json:"available" doc:"balance and credit limit less what is held"`
	Calls     int           `json:"calls" doc:"calls in progress"`
}

// Credit is an account's; nil when it has no limit.
func (s *Service) Credit(account string) *Credit {
	if s.d.Credit == nil {
		return nil
	}
	if c, limited := s.d.Credit(account); limited {
		return &c
	}
	return nil
}

// Reports reads rated rows back; cdr/clickhouse implements it.
type Reports interface {
	CDRs(ctx context.Context, f tandem.CDRFilter) ([]tandem.CDR, error)
}

// RateQuestion asks what a call would cost.
type RateQuestion struct {
	From      string           `json:"from" doc:"calling number"`
	To        string           `json:"to" doc:"called number"`
	Direction tandem.Direction `json:"direction,omitempty" enum:"inbound,outbound,"`
	DurationS int64            `json:"duration_s" minimum:"0" maximum:"604800" doc:"seconds of conversation"`
	At        time.Time        `json:"at,omitzero" doc:"answer instant; absent: now"`
}

// RateAnswer is the price of a call and its reason in sentences.
type RateAnswer struct {
	Charge    tandem.Charge `json:"charge"`
	Sentences []string      `json:"sentences"`
}

// Deps is everything that the operations need from other parts. Only Store is
// required; an operation whose part is nil answers unavailable.
type Deps struct {
	Store        Store
	Reports      func() Reports // nil, or giving nil, while there is no engine
	Live         func() []tandem.LiveCall
	Health       func() tandem.Health
	RouteExplain func(tandem.RouteRequest) tandem.Plan
	RateExplain  func(context.Context, RateQuestion) (RateAnswer, error)
	// ExplainCharge turns a stored charge into sentences.
	ExplainCharge func(tandem.CDR) []string
	// Parts gives the state of parts by name (journal, pipeline, engine...); values marshal to JSON.
	Parts        func() map[string]any
	ParseDeckCSV func(io.Reader) ([]tandem.DeckRow, error)
	// ParseSheet reads a rate sheet by a form, WriteDeckCSV writes a deck in the plain one, ValidateDeck applies rating's rules.
	ParseSheet   func(io.Reader, tandem.DeckForm) (tandem.DeckSheet, error)
	WriteDeckCSV func(io.Writer, []tandem.DeckRow) error
	ValidateDeck func(*tandem.Deck) error
	// Decks keeps the versions of decks; nil: only those in force are known.
	Decks DeckStore
	// Credit is what an account with limited credit can spend; nil: not known here.
	Credit func(account string) (Credit, bool)
	// Books keep the postings; nil: there are no statements.
	Books Books
	// Replay prices legs one after another by the decks and accounts of a
	// directory; drawn is what of a bucket is gone before its first leg. It books nothing.
	Replay func(dir *tandem.Directory, rows []tandem.CDR, drawn func(tandem.Bucket) int64, priced func(i int, c tandem.Charge, cost tandem.Cost)) error
	// InsertRows stores new versions of rows where Reports reads them; the same token and rows again store nothing new.
	InsertRows func(ctx context.Context, token string, rows []tandem.CDR) error
	// Cycle is the billing cycle around an instant in a zone, of those that begin on a day of the month; rating.CycleOn is it.
	Cycle   func(at time.Time, zone *time.Location, day int) (start, next time.Time)
	Version string
	Node    string
	Clock   func() time.Time // nil: time.Now
	Logger  *slog.Logger     // nil: discard
}

// Service is the list of operations behind API and portal.
type Service struct {
	d       Deps
	rating  sync.Mutex // one rating again at a time
	started time.Time
}

// NewService makes the operations; its uptime counts from now.
func NewService(d Deps) *Service {
	if d.Clock == nil {
		d.Clock = time.Now
	}
	if d.Logger == nil {
		d.Logger = slog.New(slog.DiscardHandler)
	}
	return &Service{d: d, started: d.Clock()}
}

func absent(what, mend string) error {
	return &tandem.Error{Kind: tandem.KindUnavailable, Message: what, Mend: mend}
}

// Apply brings the store to what the document says and returns the
// difference; with dryRun nothing is stored. open gives the files that decks
// name; nil = none came along. A broken document gives Problems.
func (s *Service) Apply(ctx context.Context, file string, text []byte, src Source, dryRun bool) (Change, error) {
	if src.ParseDeckCSV == nil {
		src.ParseDeckCSV = s.d.ParseDeckCSV
	}
	if src.ValidateDeck == nil {
		src.ValidateDeck = s.d.ValidateDeck
	}
	doc, err := Parse(file, text, src)
	if err != nil {
		return Change{}, err
	}
	if dryRun {
		current, err := s.d.Store.Directory(ctx)
		if err != nil {
			return Change{}, err
		}
		return Plan(current, doc)
	}
	var change Change
	next, err := s.d.Store.Update(ctx, func(current *tandem.Directory) (*tandem.Directory, error) {
		change, err = Plan(current, doc)
		return change.Next, err
	})
	if err != nil {
		return Change{}, err
	}
	change.Next = next
	if !change.Empty() {
		s.d.Logger.Info("directory changed", "version", next.Version, "differences", len(change.Lines))
	}
	return change, nil
}

// Directory is the present snapshot.
func (s *Service) Directory(ctx context.Context) (*tandem.Directory, error) {
	return s.d.Store.Directory(ctx)
}

// Balances are the balances by account.
func (s *Service) Balances(ctx context.Context) (map[string]Balance, error) {
	list, err := s.d.Store.Balances(ctx)
	if err != nil {
		return nil, err
	}
	out := make(map[string]Balance, len(list))
	for _, b := range list {
		out[b.Account] = b
	}
	return out, nil
}

// Live lists the calls in progress.
func (s *Service) Live() ([]tandem.LiveCall, error) {
	if s.d.Live == nil {
		return nil, absent("this process carries no calls", "ask a node that runs tandem serve")
	}
	return s.d.Live(), nil
}

// TrunkState is a trunk with the health of its endpoints.
type TrunkState struct {
	Trunk  tandem.Trunk            `json:"trunk"`
	Health []tandem.EndpointHealth `json:"health"`
}

// Trunks lists all trunks with their health; an endpoint never probed is unknown.
func (s *Service) Trunks(ctx context.Context) ([]TrunkState, error) {
	dir, err := s.d.Store.Directory(ctx)
	if err != nil {
		return nil, err
	}
	var health tandem.Health
	if s.d.Health != nil {
		health = s.d.Health()
	}
	out := make([]TrunkState, 0, len(dir.Trunks))
	for _, t := range dir.Trunks {
		state := TrunkState{Trunk: t, Health: health[t.ID]}
		for i := len(state.Health); i < len(t.Endpoints); i++ {
			state.Health = append(state.Health, tandem.EndpointHealth{Trunk: t.ID, Endpoint: t.Endpoints[i], State: tandem.HealthUnknown, Reason: "not probed yet"})
		}
		out = append(out, state)
	}
	return out, nil
}

// RouteExplain answers where a call would go and why, without placing it.
func (s *Service) RouteExplain(r tandem.RouteRequest) (tandem.Plan, error) {
	if s.d.RouteExplain == nil {
		return tandem.Plan{}, absent("routing is not running here", "ask a node that runs tandem serve")
	}
	return s.d.RouteExplain(r), nil
}

// RateExplain answers what a call would cost and why, without booking it.
func (s *Service) RateExplain(ctx context.Context, q RateQuestion) (RateAnswer, error) {
	if s.d.RateExplain == nil {
		return RateAnswer{}, absent("rating is not running here", "ask a node that runs tandem serve")
	}
	if q.At.IsZero() {
		q.At = s.d.Clock().UTC()
	}
	return s.d.RateExplain(ctx, q)
}

// Status is the state of this node.
type Status struct {
	Version   string         `json:"version"`
	Node      string         `json:"node"`
	Now       time.Time      `json:"now"`
	UptimeS   int64          `json:"uptime_s"`
	Directory uint64         `json:"directory_version"`
	LiveCalls int            `json:"live_calls"`
	Reports   bool           `json:"reports" doc:"whether an engine for reports is there"`
	Parts     map[string]any `json:"parts,omitempty" doc:"state of journal, pipeline, engine..."`
}

// Status reports version, uptime and the state of the parts.
func (s *Service) Status(ctx context.Context) (Status, error) {
	now := s.d.Clock()
	out := Status{Version: s.d.Version, Node: s.d.Node, Now: now.UTC(), UptimeS: int64(now.Sub(s.started) / time.Second)}
	dir, err := s.d.Store.Directory(ctx)
	if err != nil {
		return out, err
	}
	out.Directory = dir.Version
	if s.d.Live != nil {
		out.LiveCalls = len(s.d.Live())
	}
	out.Reports = s.d.Reports != nil && s.d.Reports() != nil
	if s.d.Parts != nil {
		out.Parts = s.d.Parts()
	}
	return out, nil
}
