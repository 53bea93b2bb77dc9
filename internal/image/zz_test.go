package image
import ("testing";"context";"os";"wellcar.dev/internal/lock";"wellcar.dev/internal/image/unpacked";"fmt";"time";"wellcar.dev/internal/sys/hermetic";"wellcar.dev/internal/archive")
func TestZZ(t *testing.T){
 home:=os.Getenv("HOME")+"/.cache/wellcar"
 r,e:=LoadRecipe(os.DirFS("../../image")); if e!=nil{t.Fatal(e)}
 b,_:=os.ReadFile("../../image/lock.json"); l,e:=lock.Parse(b); if e!=nil{t.Fatal(e)}
 var debs []string
 for _,p:=range l.Group("tools"){debs=append(debs,home+"/packages/"+p.SHA256+".deb")}
 if e:=archive.Unpack(context.Background(),debs,home+"/tools/dev");e!=nil{t.Fatal(e)}
 set:=hermetic.Set{Dir:home+"/tools/dev"}
 in,_:=os.ReadFile("/tmp/wc-init"); wd,_:=os.ReadFile("/tmp/wc-wellcard")
 s:=time.Now()
 res,e:=Build(context.Background(),Input{Recipe:r,Lock:l,Locked:true,UnpackedDir:home+"/unpacked",Out:"/tmp/out",Init:in,Wellcard:wd,Formats:StandardFormats(),
  Open:func(p lock.Package)(unpacked.Source,error){return os.Open(home+"/packages/"+p.SHA256+".deb")},
  Tools:func(ctx context.Context,env []string,name string,args ...string)([]byte,error){c,e:=set.Command(ctx,name,args...);if e!=nil{return nil,e};c.Env=append(c.Env,env...);return c.CombinedOutput()},
  Logf:t.Logf,Trace:func(p string,d time.Duration){fmt.Println(p,d)}})
 fmt.Println(time.Since(s)); if e!=nil{t.Fatal(e)}
 _=res
}
